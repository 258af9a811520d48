import type { Socket } from 'node:net'
import { openSocket } from '../session/socket.ts'
import type { Server } from './server.ts'

/** An open socket and the host at its other end. */
export interface Reached {
  socket: Socket
  server: Server
  /** Timeout of the log-in in milliseconds, where it is below the rest of the connect timeout. */
  patienceMs?: number
}

/** How connections reach a server that may have several hosts. */
export interface Route {
  /** @throws {Error} with a system code such as ECONNREFUSED, or of its own */
  open(timeoutMs: number): Promise<Reached>
  /** Returns an error where a reported parameter (ParameterStatus) makes the session unusable. */
  refusal(host: Server, parameter: string, value: string): Error | undefined
  /** Called when a session with the host failed to open or was refused. */
  doubt(host: Server): void
}

/** Returns a route to one host, primary or not. */
export function directRoute(server: Server): Route {
  return {
    open: (timeoutMs) => reach(server, timeoutMs),
    refusal: () => undefined,
    doubt: () => {},
  }
}

/**
 * Opens a socket to the server's first host.
 * @throws {Error} as `openSocket`
 */
export async function reach(server: Server, timeoutMs: number): Promise<Reached> {
  return { socket: await openSocket(server, timeoutMs), server }
}
