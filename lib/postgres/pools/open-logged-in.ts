import type { Socket } from 'node:net'
import type { Reached, Route } from '../hosts/route.ts'
import type { Credentials, Server } from '../hosts/server.ts'
import { type Greeting, logIn } from '../session/log-in.ts'

/** SQLSTATE of a log-in with a wrong password. */
const INVALID_PASSWORD = '28P01'

/** A logged-in socket, with what the server sent at log-in. */
export interface Opened {
  socket: Socket
  greeting: Greeting
}

export interface OpenOptions {
  route: Route
  credentials: Credentials
  /** Startup parameters of the session. */
  parameters: Record<string, string | number>
  /** SQL that goes out with the log-in: see `logIn`. */
  behind: string | undefined
  /** Time limit of both attempts together. */
  timeoutMs: number
  /** Called with each socket that is opened and the host that it leads to. */
  onSocket: (socket: Socket, server: Server) => void
  /** Aborted when it is closed by force, with the error of this. */
  ending: AbortSignal
}

/**
 * Opens a socket and logs in. While the gateway's secret is being rotated, the role's password may
 * derive from the other secret; that password is tried second.
 * @throws {Error} from the socket or PostgreSQL, or with the code ETIMEDOUT
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
  const reaching = options.route.open(Math.max(1, giveUpAt - performance.now()))
  const { socket, server, patienceMs = options.timeoutMs } = await untilEnded(reaching, options)
  options.onSocket(socket, server)
  // An error event without a listener would end the process. Readers check `socket.errored`.
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
  { route, parameters, behind, ending }: OpenOptions,
  socket: Socket,
  server: Server,
  credentials: Credentials,
  withinMs: number,
): Promise<Greeting> {
  const timer = setTimeout(() => socket.destroy(logInTimeout()), withinMs)
  try {
    const greeting = await logIn(socket, credentials, parameters, behind)
    if (socket.destroyed || ending.aborted) throw socket.errored ?? connectionClosed()
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

/** Returns what has been reached; rejects at once when the connection is closed by force. */
function untilEnded(reaching: Promise<Reached>, { ending }: OpenOptions): Promise<Reached> {
  return new Promise((resolve, reject) => {
    const end = () => {
      reject(ending.reason)
      reaching.then(({ socket }) => socket.destroy()).catch(() => {})
    }
    if (ending.aborted) end()
    else ending.addEventListener('abort', end, { once: true })
    reaching.then(resolve, reject).finally(() => ending.removeEventListener('abort', end))
  })
}

/** Returns the error of queries on a closed connection. */
export function connectionClosed(): Error {
  return Object.assign(new Error('The connection is closed'), { code: 'CONNECTION_CLOSED' })
}

function logInTimeout(): Error {
  return Object.assign(new Error('The log-in did not end in time'), { code: 'ETIMEDOUT' })
}

/** Returns the code of an error in opening a connection; CONNECTION_FAILED if it has none. */
export function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'CONNECTION_FAILED'
}
