import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, ListenOptions } from 'node:net'
import { listen } from 'listhen'
import type { Log } from '../../log.ts'
import { Drain } from './drain.ts'
import { type HttpLimits, limitClients } from './http-limits.ts'
import type { Tls } from './tls.ts'

export interface Listening {
  url: string
  /**
   * No new connections; resolves when the running requests are answered, or cut after `limitMs`,
   * and no client is about to send another. A passed socket stays with whoever passed it, and keeps
   * those who connect waiting for the next that accepts.
   */
  close(limitMs: number): Promise<void>
  /** Takes other certificates for those who connect from now on. Only where it listens with TLS. */
  renew(tls: Tls): void
}

/** From 1 to 0 is no port; the type of an empty range is not an array's. */
const NO_RANGE: [number, number] = [1, 0]

/** Longer than proxies and clients keep an idle connection, so that they are the ones to close it. */
const KEEP_ALIVE_MS = 65_000

/** As many as Linux lets wait (net.core.somaxconn) while a passed socket is between two processes. */
const PASSED_BACKLOG = 4096

/** Long enough for any client; others hold a socket and have said nothing. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** Where to listen: an address of its own, port 0 being any free one; or a socket that was passed. */
export type ListenOn = { host: string; port: number } | { fd: number }

/** For HTTPS. */
export interface Secure {
  tls: Tls
  /** Called with each handshake that fails. */
  onFailure: (error: NodeJS.ErrnoException) => void
}

/**
 * Starts listening exactly there, with HTTPS alone where there is `secure`.
 * @throws {Error} with one line that names the setting, where the address cannot be had
 */
export async function startListening(
  listener: RequestListener,
  on: ListenOn,
  limits: HttpLimits,
  log: Log,
  secure?: Secure,
): Promise<Listening> {
  const drain = new Drain(listener)
  const secured = secure && newTlsServer(drain.listener, secure)
  const http =
    'fd' in on
      ? await listenOnSocket(secured ?? createServer(drain.listener), on.fd)
      : await listenOnAddress(drain, on, secured)
  drain.watch(http)
  limitClients(http, drain, limits, log)
  http.keepAliveTimeout = KEEP_ALIVE_MS
  // A body that must not be sent is refused before it is sent: see admitBody.
  http.on('checkContinue', drain.listener)
  const { address, family, port } = http.address() as AddressInfo
  return {
    url: `${secure ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    close: (limitMs) => drain.close(http, limitMs),
    renew: ({ options }) => secured?.setSecureContext(options),
  }
}

/** One that has a client's certificate verified, where there are authorities for that. */
function newTlsServer(listener: RequestListener, { tls, onFailure }: Secure): TlsServer {
  const handshakeTimeout = HANDSHAKE_TIMEOUT_MS
  const requestCert = tls.options.ca !== undefined
  const server = createTlsServer({ ...tls.options, requestCert, handshakeTimeout }, listener)
  return server.on('tlsClientError', onFailure)
}

async function listenOnAddress(
  { listener }: Drain,
  { host, port }: { host: string; port: number },
  secured: TlsServer | undefined,
): Promise<Server> {
  await checkAddress(host, port)
  if (secured) {
    // Without listhen, which knows neither clients' certificates nor versions of TLS.
    await listenWith(secured, { host, port }).catch((error: Error) => {
      throw new Error(`GATEWAY_PORT: ${error.message}`)
    })
    return secured
  }
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
async function listenOnSocket(http: Server | TlsServer, fd: number): Promise<Server> {
  await listenWith(http, { fd, backlog: PASSED_BACKLOG }).catch((error: Error) => {
    throw new Error(`LISTEN_FDS: descriptor ${fd} cannot be listened on: ${error.message}`)
  })
  // A Unix socket has no address that the allowlist could know.
  if (http.address()) return http
  http.close()
  throw new Error(`LISTEN_FDS: descriptor ${fd} is not a TCP socket`)
}

async function listenWith(
  http: Server | TlsServer,
  on: ListenOptions & { fd?: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject)
    http.listen(on, () => {
      http.off('error', reject)
      resolve()
    })
  })
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
