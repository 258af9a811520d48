import type { GatewayStatus } from '../cluster/gateways.ts'
import { metric, single } from './definitions.ts'
import type { Metric } from './text.ts'

/**
 * Returns metrics of the gateways that share this PostgreSQL, with their shares of its connections.
 */
export function gatewayMetrics(alive: GatewayStatus[]): Metric[] {
  return [
    single('db_gateway_gateways', alive.length),
    metric(
      'db_gateway_share_connections',
      alive.map(({ id, host, share }) => ({ labels: { id, host }, value: share })),
    ),
  ]
}
