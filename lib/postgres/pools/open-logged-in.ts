import type { Socket } from 'node:net'
import type { Route } from '../hosts/route.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { type Greeting, logIn } from '../session/log-in.ts'

/** The SQLSTATE of a log-in whose password is refused. */
const INVALID_PASSWORD = '28P01'

/** A socket that is logged in. */
export interface Opened {
  socket: Socket
  greeting: Greeting
}

export interface OpenOptions {
  route: Route
  credentials: Credentials
  /** Settings of the session, from its start. */
  parameters: Record<string, string | number>
  timeoutMs: number
  /** Told of each socket that is opened, and of the host that it leads to. */
  onSocket: (socket: Socket, server: Server) => void
  /** Whether the connection was closed meanwhile. */
  isClosed: () => boolean
}

/**
 * Opens a socket and logs in. A role has one password; while the gateway's secret is being changed it
 * may have the other one, which is tried too.
 * @throws {Error} of the socket, of PostgreSQL, or with the code ETIMEDOUT
 */
export async function openLoggedIn(options: OpenOptions): Promise<Opened> {
  const giveUpAt = performance.now() + options.timeoutMs
  const { other, onOther } = options.credentials
  try {
    return await openAs(options, options.credentials, giveUpAt)
  } catch (error) {
    if (!other || (error as { code?: string }).code !== INVALID_PASSWORD) throw error
    const opened = await openAs(options, other, giveUpAt)
    onOther?.()
    return opened
  }
}

async function openAs(
  options: OpenOptions,
  credentials: Credentials,
  giveUpAt: number,
): Promise<Opened> {
  const {
    socket,
    server,
    patienceMs = options.timeoutMs,
  } = await options.route.open(Math.max(1, giveUpAt - performance.now()))
  options.onSocket(socket, server)
  // An error may come while nothing reads; what reads then is told.
  socket.on('error', () => {})
  const left = giveUpAt - performance.now()
  const greeting = await logInWithin(
    options,
    socket,
    server,
    credentials,
    Math.min(patienceMs, left),
  )
  return { socket, greeting }
}

async function logInWithin(
  { route, parameters, isClosed }: OpenOptions,
  socket: Socket,
  server: Server,
  credentials: Credentials,
  withinMs: number,
): Promise<Greeting> {
  const timer = setTimeout(() => socket.destroy(logInTimeout()), withinMs)
  try {
    const greeting = await logIn(socket, credentials, parameters)
    if (socket.destroyed || isClosed()) throw socket.errored ?? connectionClosed()
    for (const [parameter, value] of greeting.parameters) {
      const refusal = route.refusal(server, parameter, value)
      if (refusal) throw refusal
    }
    return greeting
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/** The error of queries on a connection that is closed. */
export function connectionClosed(): Error {
  return Object.assign(new Error('The connection is closed'), { code: 'CONNECTION_CLOSED' })
}

function logInTimeout(): Error {
  return Object.assign(new Error('The server let no session in in time'), { code: 'ETIMEDOUT' })
}

/** Everything that keeps a connection from opening has a code, as the errors of sockets have. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'CONNECTION_FAILED'
}
