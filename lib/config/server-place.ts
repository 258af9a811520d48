import { isLoopbackHost } from '../common/loopback.ts'
import { describeServer, hostsOf, type Server } from '../postgres/hosts/server.ts'

/** A PostgreSQL as a person is told of it. */
export interface ServerPlace {
  /** Without the password. */
  name: string
  /** Whether a host of it is another machine. */
  isFar: boolean
}

/** Returns where the PostgreSQL of the settings is; undefined for an embedded one. */
export function serverPlace(server: Server | undefined): ServerPlace | undefined {
  if (!server) return undefined
  const isFar = hostsOf(server).some(({ host }) => !host.startsWith('/') && !isLoopbackHost(host))
  return { name: describeServer(server), isFar }
}
