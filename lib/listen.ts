import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listen } from 'listhen'
import { Drain } from './drain.ts'
import { type HttpLimits, limitClients } from './http-limits.ts'
import type { Log } from './log.ts'

export interface Listening {
  url: string
  /**
   * No new connections; resolves when the running requests are answered, or cut after `limitMs`,
   * and no client is about to send another. A passed socket stays with whoever passed it, and keeps
   * those who connect waiting for the next that accepts.
   */
  close(limitMs: number): Promise<void>
}

/** From 1 to 0 is no port; the type of an empty range is not an array's. */
const NO_RANGE: [number, number] = [1, 0]

/** Longer than proxies and clients keep an idle connection, so that they are the ones to close it. */
const KEEP_ALIVE_MS = 65_000

/** As many as Linux lets wait (net.core.somaxconn) while a passed socket is between two processes. */
const PASSED_BACKLOG = 4096

/** Where to listen: an address of its own, port 0 being any free one; or a socket that was passed. */
export type ListenOn = { host: string; port: number } | { fd: number }

/**
 * Starts listening exactly there.
 * @throws {Error} with one line that names the setting, where the address cannot be had
 */
export async function startListening(
  listener: RequestListener,
  on: ListenOn,
  limits: HttpLimits,
  log: Log,
): Promise<Listening> {
  const drain = new Drain(listener)
  const http = 'fd' in on ? await listenOnSocket(drain, on.fd) : await listenOnAddress(drain, on)
  drain.watch(http)
  limitClients(http, drain, limits, log)
  http.keepAliveTimeout = KEEP_ALIVE_MS
  // A body that must not be sent is refused before it is sent: see admitBody.
  http.on('checkContinue', drain.listener)
  const { address, family, port } = http.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: (limitMs) => drain.close(http, limitMs),
  }
}

async function listenOnAddress(
  { listener }: Drain,
  { host, port }: { host: string; port: number },
): Promise<Server> {
  await checkAddress(host, port)
  const isPublic = host === '0.0.0.0' || host === '::'
  // What listhen would decide by itself is turned off: another port when this one is taken, what
  // it prints, how the process ends.
  const { server } = await listen(listener, {
    hostname: host,
    port: { port, random: port === 0, alternativePortRange: NO_RANGE },
    public: isPublic,
    isTest: true,
    isProd: false,
    showURL: false,
    autoClose: false,
    https: false,
  })
  const http = server as Server
  if (port !== 0 && (http.address() as AddressInfo).port !== port) {
    http.close()
    throw new Error(`GATEWAY_PORT: ${port} cannot be listened on`)
  }
  return http
}

/** Without listhen, which knows addresses alone; what else it does is turned off in any case. */
async function listenOnSocket({ listener }: Drain, fd: number): Promise<Server> {
  const http = createServer(listener)
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen({ fd, backlog: PASSED_BACKLOG }, resolve)
  }).catch((error: Error) => {
    throw new Error(`LISTEN_FDS: descriptor ${fd} cannot be listened on: ${error.message}`)
  })
  // A Unix socket has no address that the allowlist could know.
  if (http.address()) return http
  http.close()
  throw new Error(`LISTEN_FDS: descriptor ${fd} is not a TCP socket`)
}

/** listhen does not tell why an address cannot be had. */
async function checkAddress(host: string, port: number): Promise<void> {
  const probe = createServer()
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(port, host, resolve)
  }).catch((error: NodeJS.ErrnoException) => {
    const reasons: Record<string, string> = {
      EADDRINUSE: `GATEWAY_PORT: ${port} on ${host} is taken by another process`,
      EACCES: `GATEWAY_PORT: ${port} is not allowed for this user`,
      EADDRNOTAVAIL: `GATEWAY_HOST: ${host} is not an address of this machine`,
      ENOTFOUND: `GATEWAY_HOST: ${host} is not known`,
    }
    throw new Error(reasons[error.code ?? ''] ?? `GATEWAY_HOST: ${error.message}`)
  })
  await new Promise((resolve) => probe.close(resolve))
}
