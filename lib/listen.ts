import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listen } from 'listhen'

export interface Listening {
  url: string
  /** No new connections; resolves when the running requests are answered, or cut after `limitMs`. */
  close(limitMs: number): Promise<void>
}

/** From 1 to 0 is no port; the type of an empty range is not an array's. */
const NO_RANGE: [number, number] = [1, 0]

/** Longer than proxies and clients keep an idle connection, so that they are the ones to close it. */
const KEEP_ALIVE_MS = 65_000

/**
 * Starts listening on exactly that address; port 0 is any free one.
 * @throws {Error} with one line that names the setting, where the address cannot be had
 */
export async function startListening(
  listener: RequestListener,
  host: string,
  port: number,
): Promise<Listening> {
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
  const address = http.address() as AddressInfo
  if (port !== 0 && address.port !== port) {
    http.close()
    throw new Error(`GATEWAY_PORT: ${port} cannot be listened on`)
  }
  http.keepAliveTimeout = KEEP_ALIVE_MS
  // A body that must not be sent is refused before it is sent: see admitBody.
  http.on('checkContinue', listener)
  const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${shown}:${address.port}`,
    close: (limitMs) => closeServer(http, limitMs),
  }
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

async function closeServer(server: Server, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // Keep-alive connections become idle one after the other, as their requests are answered.
  const idle = setInterval(() => server.closeIdleConnections(), 50)
  const cut = setTimeout(() => server.closeAllConnections(), limitMs)
  server.closeIdleConnections()
  await closed
  clearInterval(idle)
  clearTimeout(cut)
}
