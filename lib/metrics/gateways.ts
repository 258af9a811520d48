import type { GatewayStatus } from '../cluster/gateways.ts'
import type { Metric } from './text.ts'

/** The gateways that share this PostgreSQL, and what each may have of its connections. */
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
      help: 'Connections that each of them may have.',
      type: 'gauge',
      samples: alive.map(({ id, host, share }) => ({ labels: { id, host }, value: share })),
    },
  ]
}
