import type { GatewayStatus } from '../cluster/gateways.ts'
import type { Metric } from './text.ts'

/**
 * Returns metrics of the gateways that share this PostgreSQL, with their shares of its connections.
 */
export function gatewayMetrics(alive: GatewayStatus[]): Metric[] {
  return [
    {
      name: 'db_gateway_gateways',
      help: 'Gateways alive on this PostgreSQL.',
      type: 'gauge',
      samples: [{ labels: {}, value: alive.length }],
    },
    {
      name: 'db_gateway_share_connections',
      help: 'Connections that a gateway may have open.',
      type: 'gauge',
      samples: alive.map(({ id, host, share }) => ({ labels: { id, host }, value: share })),
    },
  ]
}
