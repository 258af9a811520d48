import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import type { PostgresRig } from '../rig.ts'

/**
 * Does work while PostgreSQL is as far away as these milliseconds there and back: the rig's URL leads
 * to a proxy in this process that holds up all answers for so long. Without latency there is none.
 */
export async function withLatency<T, R extends PostgresRig>(
  rig: R,
  latencyMs: number,
  work: (rig: R) => Promise<T>,
): Promise<T> {
  if (latencyMs === 0) return work(rig)
  const { host, port, user, password, database } = parseDatabaseUrl(rig.databaseUrl)
  const place = host.startsWith('/') ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(place)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    client.on('data', (bytes) => upstream.write(bytes))
    client.on('close', () => upstream.destroy())
    // Timers of one length come in their order.
    upstream.on('data', (bytes) => setTimeout(() => client.write(bytes), latencyMs))
    upstream.on('close', () => setTimeout(() => client.destroy(), latencyMs))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = (server.address() as AddressInfo).port
  const databaseUrl = `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${own}/${database}?sslmode=disable`
  try {
    return await work({ ...rig, databaseUrl })
  } finally {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
}
