import { inject } from 'vitest'
import { parseDatabaseUrl, type Server } from '../../lib/postgres/hosts/server.ts'
import { type Greeting, logIn } from '../../lib/postgres/session/log-in.ts'
import type { Row } from '../../lib/postgres/session/query.ts'
import { Session, type SessionOptions } from '../../lib/postgres/session/session.ts'
import { openSocket } from '../../lib/postgres/session/socket.ts'

/** Opens a session with the test server, and returns it with the server's start-up messages. */
export async function openSession(
  options: SessionOptions = {},
  server: Server = parseDatabaseUrl(inject('databaseUrl')),
): Promise<{ session: Session; greeting: Greeting }> {
  const socket = await openSocket(server, 5000)
  const { user, database } = server
  const greeting = await logIn(socket, server, { user, database, client_encoding: 'UTF8' })
  return { session: new Session(socket, options), greeting }
}

/** Returns the fields of rows as texts. */
export function texts(rows: Row[]): (string | null)[][] {
  return rows.map((row) => row.map((field) => field?.toString() ?? null))
}
