import type { GatewayStatus } from '../cluster/gateways.ts'
import { metric, single } from './definitions.ts'
import type { Metric } from './text.ts'

/** The gateways on a server; its name is undefined without SERVERS. */
export interface ServerGateways {
  server: string | undefined
  alive: GatewayStatus[]
}

/**
 * Returns metrics of the gateways that share this PostgreSQL, with their shares of the connections of
 * each server.
 */
export function gatewayMetrics(servers: ServerGateways[]): Metric[] {
  return [
    single('db_gateway_gateways', servers[0]?.alive.length),
    metric(
      'db_gateway_share_connections',
      servers.flatMap(({ server, alive }) =>
        alive.map(({ id, host, share }) => ({ labels: { id, host, server }, value: share })),
      ),
    ),
  ]
}
