import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { inject } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'

/**
 * Milliseconds by which responses are delayed, so that all bytes that a client sends without
 * waiting for a response count as one round trip.
 */
const DELAY_MS = 40

/** A proxy in front of the test server that counts round trips. */
export interface RoundTrips {
  /** Returns the connection URI of a database through the proxy. */
  urlOf(database: string): string
  /**
   * Returns the first bytes of each round trip to the database since the last call. Log-in does not
   * count.
   */
  take(database: string): string[]
  close(): Promise<void>
}

/** Starts a proxy that counts round trips. */
export async function countRoundTrips(): Promise<RoundTrips> {
  const { host, port, user, password } = parseDatabaseUrl(inject('databaseUrl'))
  const sent = new Map<string, string[]>()
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = host.startsWith('/')
      ? connect({ path: `${host}/.s.PGSQL.${port}` })
      : connect({ host, port })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
    }
    let database: string | undefined
    let isLoggedIn = false
    let hasSeenAnswer = true
    client.on('data', (bytes) => {
      database ??= /\0database\0([^\0]+)\0/.exec(bytes.toString('latin1'))?.[1]
      if (isLoggedIn && hasSeenAnswer && database !== undefined && bytes[0] !== TERMINATE) {
        sent.set(database, [...(sent.get(database) ?? []), bytes.toString('latin1')])
      }
      hasSeenAnswer = false
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      setTimeout(() => {
        hasSeenAnswer = true
        // ReadyForQuery is the last message of a response.
        if (bytes.at(-6) === READY_FOR_QUERY) isLoggedIn = true
        client.write(bytes)
      }, DELAY_MS)
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => setTimeout(() => client.destroy(), DELAY_MS + 20))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = (server.address() as AddressInfo).port
  return {
    urlOf: (database) =>
      `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${own}/${database}?sslmode=disable`,
    take: (database) => {
      const trips = sent.get(database) ?? []
      sent.delete(database)
      return trips
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const TERMINATE = 'X'.charCodeAt(0)
const READY_FOR_QUERY = 'Z'.charCodeAt(0)
