import type { NetConnectOpts } from 'node:net'
import { inject } from 'vitest'
import { parseDatabaseUrl, type Server } from '../../lib/postgres/server.ts'
import { FaultProxy } from './fault-proxy.ts'

/** A proxy in front of the server of the tests. */
export function startProxy(): Promise<FaultProxy> {
  return FaultProxy.start(addressOf(parseDatabaseUrl(inject('databaseUrl'))))
}

/** The connection URI of a database of the server of the tests, by way of the proxy. */
export function urlThrough({ port }: FaultProxy, database: string): string {
  const { user, password } = parseDatabaseUrl(inject('databaseUrl'))
  return `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}?sslmode=disable`
}

function addressOf({ host, port }: Server): NetConnectOpts {
  return host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
}
