import type { Socket } from 'node:net'
import { openSocket } from '../session/socket.ts'
import type { Server } from './server.ts'

/** A socket, and the one host that it leads to. */
export interface Reached {
  socket: Socket
  server: Server
  /** How long logging in there may take, where that is less than the time that is left. */
  patienceMs?: number
}

/** The way of connections to a server, which may have several hosts. */
export interface Route {
  /** @throws {Error} with a system code such as ECONNREFUSED, or of its own */
  open(timeoutMs: number): Promise<Reached>
  /** Why a session with this value of a parameter that PostgreSQL reports is of no use. */
  refusal(host: Server, parameter: string, value: string): Error | undefined
  /** A session there did not begin, or was refused. */
  doubt(host: Server): void
}

/** To one host, whatever it is. */
export function directRoute(server: Server): Route {
  return {
    open: (timeoutMs) => reach(server, timeoutMs),
    refusal: () => undefined,
    doubt: () => {},
  }
}

/** @throws {Error} as `openSocket` */
export async function reach(server: Server, timeoutMs: number): Promise<Reached> {
  return { socket: await openSocket(server, timeoutMs), server }
}
