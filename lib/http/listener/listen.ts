import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { AddressInfo, ListenOptions } from 'node:net'
import { listen } from 'listhen'
import type { Log } from '../../log.ts'
import { checkAddress } from './check-address.ts'
import { Drain } from './drain.ts'
import { type HttpLimits, limitClients, setLimits } from './http-limits.ts'
import type { Tls } from './tls.ts'

export interface Listening {
  url: string
  /** Has clients open another connection after their next answer, which may lead elsewhere. */
  announceClose(): void
  /**
   * Stops accepting connections. Resolves when all requests are answered and no client is about to
   * send another one; after `limitMs` the rest is cut. A passed socket stays open in the process
   * that passed it, where new connections wait for the next process that accepts.
   */
  close(limitMs: number): Promise<void>
  /** Uses other limits. The object that it was started with has them already. */
  limit(limits: HttpLimits): void
  /** Uses other certificates for new connections. Only with TLS. */
  renew(tls: Tls): void
}

/** An empty range of ports: from 1 to 0. listhen's type does not allow an empty array. */
const NO_RANGE: [number, number] = [1, 0]

/** Linux default of net.core.somaxconn: connections that wait while the socket changes process. */
const PASSED_BACKLOG = 4096

/** Timeout of the TLS handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000

/** An address and port (0 means any free port), or the descriptor of a passed socket. */
export type ListenOn = { host: string; port: number } | { fd: number }

/** Settings of HTTPS. */
export interface Secure {
  tls: Tls
  /** Called for each failed handshake. */
  onFailure: (error: NodeJS.ErrnoException) => void
}

/**
 * Starts listening at this address or socket; with `secure` HTTPS only. A worker of node:cluster gets
 * the connections that its parent accepts there.
 * @throws {Error} with one line that names the setting, if the address cannot be used
 */
export async function startListening(
  listener: RequestListener,
  on: ListenOn,
  limits: HttpLimits,
  log: Log,
  secure?: Secure,
  isWorker = false,
): Promise<Listening> {
  const drain = new Drain(listener)
  const secured = secure && newTlsServer(drain.listener, secure)
  const http =
    'fd' in on
      ? await listenOnSocket(secured ?? createServer(drain.listener), on.fd)
      : isWorker
        ? await listenAsWorker(secured ?? createServer(drain.listener), on)
        : await listenOnAddress(drain, on, secured)
  drain.watch(http)
  limitClients(http, drain, limits, log)
  // Without this listener Node.js would send "100 Continue" before `admitBody` can refuse the body.
  http.on('checkContinue', drain.listener)
  const { address, family, port } = http.address() as AddressInfo
  return {
    url: `${secure ? 'https' : 'http'}://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    announceClose: () => drain.announce(),
    close: (limitMs) => drain.close(http, limitMs),
    limit: (changed) => setLimits(http, changed),
    renew: ({ options }) => secured?.setSecureContext(options),
  }
}

/** Returns an HTTPS server; it verifies client certificates if there is a client CA. */
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
    // listhen supports neither client certificates nor a minimum TLS version.
    await listenWith(secured, { host, port }).catch((error: Error) => {
      throw new Error(`GATEWAY_PORT: ${error.message}`)
    })
    return secured
  }
  const isPublic = host === '0.0.0.0' || host === '::'
  // Turns off what listhen does by itself: choosing another port, printing, handling of signals.
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

/** The parent has checked the address: each look at it here would be a socket of the parent. */
async function listenAsWorker(
  http: Server | TlsServer,
  on: { host: string; port: number },
): Promise<Server> {
  await listenWith(http, on).catch((error: Error) => {
    throw new Error(`GATEWAY_PORT: ${error.message}`)
  })
  return http
}

/** Listens without listhen, which supports only addresses. */
async function listenOnSocket(http: Server | TlsServer, fd: number): Promise<Server> {
  await listenWith(http, { fd, backlog: PASSED_BACKLOG }).catch((error: Error) => {
    throw new Error(`LISTEN_FDS: descriptor ${fd} cannot be listened on: ${error.message}`)
  })
  // The allowlist needs client addresses, which a Unix-domain socket does not have.
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
