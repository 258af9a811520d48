import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Server } from '../../lib/postgres/hosts/server.ts'

export interface MuteProxy {
  /** Port on 127.0.0.1. */
  port: number
  /** Silences the open connections: they carry no more bytes, and neither end is closed. */
  mute(): void
  close(): void
}

/**
 * Starts a proxy in front of PostgreSQL whose connections can go silent, as behind a firewall that
 * drops them.
 */
export async function startMuteProxy({ host, port }: Server): Promise<MuteProxy> {
  const sockets = new Set<Socket>()
  const listener = createServer((client) => {
    const server = connect(
      host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port },
    )
    client.pipe(server).pipe(client)
    for (const socket of [client, server]) {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as AddressInfo).port,
    mute: () => {
      for (const socket of sockets) socket.unpipe().pause()
    },
    close: () => {
      listener.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
