import type { NetConnectOpts } from 'node:net'
import { inject } from 'vitest'
import { parseDatabaseUrl, type Server } from '../../lib/postgres/hosts/server.ts'
import { FaultProxy } from './fault-proxy.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  type TestGateway,
} from './gateway.ts'

/** A gateway, and the proxy between it and the test server. */
export interface BehindProxy {
  gateway: TestGateway
  proxy: FaultProxy
  /** URI of the administrative database that bypasses the proxy. */
  adminUrl: string
  stop(): Promise<void>
}

/** Starts a gateway that reaches the test server through a proxy. */
export async function startBehindProxy(
  settings: Record<string, string> = {},
): Promise<BehindProxy> {
  const adminUrl = await createAdminDatabase()
  const proxy = await startProxy()
  const url = urlThrough(proxy, parseDatabaseUrl(adminUrl).database)
  const gateway = await startTestGateway({ DATABASE_URL: url, ...settings })
  const stop = async () => {
    await gateway.stop()
    await proxy.stop()
    await dropAdminDatabase(adminUrl)
  }
  return { gateway, proxy, adminUrl, stop }
}

/** Starts a proxy in front of the test server. */
export function startProxy(): Promise<FaultProxy> {
  return FaultProxy.start(addressOf(parseDatabaseUrl(inject('databaseUrl'))))
}

/** Returns the connection URI of a database of the test server through the proxy. */
export function urlThrough({ port }: FaultProxy, database: string): string {
  const { user, password } = parseDatabaseUrl(inject('databaseUrl'))
  return `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${port}/${database}?sslmode=disable`
}

function addressOf({ host, port }: Server): NetConnectOpts {
  return host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
}
