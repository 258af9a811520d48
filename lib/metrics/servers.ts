import type { ServerState } from '../postgres/hosts/outages.ts'
import type { ReplicaStatus } from '../postgres/hosts/replicas.ts'
import { metric } from './definitions.ts'
import type { Metric } from './text.ts'

/** Returns metrics of the servers of SERVERS: whether each answers, and its databases. */
export function namedServerMetrics(
  servers: { name: string; isUp: boolean; databases: number | undefined }[],
): Metric[] {
  return [
    metric(
      'db_gateway_server_up',
      servers.map(({ name, isUp }) => ({ labels: { server: name }, value: Number(isUp) })),
    ),
    metric(
      'db_gateway_server_databases',
      servers.flatMap(({ name, databases }) =>
        databases === undefined ? [] : [{ labels: { server: name }, value: databases }],
      ),
    ),
  ]
}

/** Returns metrics of PostgreSQL's servers: whether they answer, their outages, and replicas' lag. */
export function serverMetrics(servers: ServerState[], replicas: ReplicaStatus[]): Metric[] {
  const each = (read: (state: ServerState) => number) =>
    servers.map((state) => ({
      labels: { server: state.server, role: state.role },
      value: read(state),
    }))
  return [
    metric(
      'db_gateway_postgres_up',
      each(({ isUp }) => Number(isUp)),
    ),
    metric(
      'db_gateway_postgres_outages_total',
      each(({ outages }) => outages),
    ),
    metric(
      'db_gateway_postgres_down_seconds_total',
      each(({ downSeconds }) => downSeconds),
    ),
    metric(
      'db_gateway_replica_lag_seconds',
      replicas.flatMap(({ server, lag_ms }) =>
        lag_ms === null ? [] : [{ labels: { server }, value: lag_ms / 1000 }],
      ),
    ),
  ]
}
