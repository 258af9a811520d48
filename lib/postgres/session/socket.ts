import { connect, isIP, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'
import type { Server, SslMode } from '../hosts/server.ts'

const KEEPALIVE_AFTER_MS = 30_000

/** SSLRequest (PostgreSQL manual, "Message Formats"): length 8, code 80877103. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])
const SSL_ACCEPTED = 'S'.charCodeAt(0)

/**
 * Opens a socket to the server, ready for the startup packet; encrypted as `sslMode` asks.
 * The gateway negotiates TLS itself, because postgres.js drops the listeners of a given socket when
 * it starts TLS.
 * @throws {Error} with a system code such as ECONNREFUSED, or ETIMEDOUT after `timeoutMs`
 */
export async function openSocket(server: Server, timeoutMs: number): Promise<Socket> {
  const socket = server.host.startsWith('/')
    ? connect({ path: `${server.host}/.s.PGSQL.${server.port}` })
    : connect({ host: server.host, port: server.port, noDelay: true })
  const timer = setTimeout(() => socket.destroy(timeoutError(server, timeoutMs)), timeoutMs)
  try {
    await once(socket, 'connect')
    if (server.host.startsWith('/')) return socket
    socket.setKeepAlive(true, KEEPALIVE_AFTER_MS)
    return server.sslMode === 'disable' ? socket : await encrypt(socket, server)
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Returns a socket that fails at the first write. If the `socket` option of postgres.js throws, the
 * driver leaves the connection "connecting" forever; it handles an error of the socket itself.
 */
export function failedSocket(error: Error): Duplex {
  return new Duplex({
    read() {},
    write: (_chunk, _encoding, done) => done(error),
  })
}

async function encrypt(socket: Socket, server: Server): Promise<Socket> {
  socket.write(SSL_REQUEST)
  const [answer] = (await once(socket, 'data')) as [Buffer]
  // More than one byte before the handshake is unencrypted data that an attacker may have injected
  // (CVE-2021-23222).
  if (answer.length !== 1) throw new Error('The server sent data before the TLS handshake')
  if (answer[0] !== SSL_ACCEPTED) {
    if (server.sslMode === 'prefer') return socket
    throw new Error(`The server does not offer TLS, which sslmode=${server.sslMode} asks for`)
  }
  const encrypted = connectTls({ socket, ...tlsOptions(server, server.sslMode) })
  await once(encrypted, 'secureConnect')
  return encrypted
}

function tlsOptions(server: Server, mode: SslMode): ConnectionOptions {
  // As libpq does, sslmode=require with a root certificate verifies the certificate chain.
  const verified = mode === 'verify-ca' || mode === 'verify-full' || server.ca !== undefined
  return {
    ca: server.ca,
    cert: server.cert,
    key: server.key,
    // Without `host`, the certificate would be checked against "localhost".
    host: server.host,
    servername: isIP(server.host) ? undefined : server.host,
    rejectUnauthorized: verified,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  }
}

/** Resolves with the event's arguments; rejects if the socket fails or closes first. */
function once(socket: Socket, event: string): Promise<unknown[]> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      socket.off(event, onEvent).off('error', onError).off('close', onClose)
      action()
    }
    const onEvent = (...values: unknown[]) => settle(() => resolve(values))
    const onError = (error: Error) => settle(() => reject(error))
    const onClose = () => settle(() => reject(closedError()))
    socket.on(event, onEvent).on('error', onError).on('close', onClose)
  })
}

function closedError(): Error {
  const message = 'The server closed the connection while it was being opened'
  return Object.assign(new Error(message), { code: 'ECONNRESET' })
}

function timeoutError(server: Server, timeoutMs: number): Error {
  const message = `No connection to ${server.host}:${server.port} within ${timeoutMs} ms`
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' })
}
