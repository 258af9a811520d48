import type { Server } from './server.ts'
import { openSocket } from './session/socket.ts'

/** A server process and the secret that lets one cancel what it runs (BackendKeyData). */
export interface Backend {
  pid: number | null
  /** postgres.js has it as a number. */
  secret: number | Buffer | null
}

/** CancelRequest of the PostgreSQL protocol ("Message Formats"). */
const CANCEL_REQUEST = 80_877_102
const HEAD_BYTES = 12

/**
 * Asks the server to cancel what the backend runs at the moment, and resolves when the server has
 * taken notice. It does not count among the connections: the server takes no session for it.
 * @throws {Error} of the socket
 */
export async function sendCancel(
  server: Server,
  { pid, secret }: Backend,
  timeoutMs: number,
): Promise<void> {
  const key = secretBytes(secret)
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(HEAD_BYTES + key.length, 0)
  head.writeUInt32BE(CANCEL_REQUEST, 4)
  head.writeUInt32BE((pid ?? 0) >>> 0, 8)
  const message = Buffer.concat([head, key])
  const socket = await openSocket(server, timeoutMs)
  await new Promise<void>((resolve, reject) => {
    socket.setTimeout(timeoutMs, () => socket.destroy())
    socket.once('error', reject).once('close', () => resolve())
    socket.resume()
    socket.end(message)
  })
}

function secretBytes(secret: number | Buffer | null): Buffer {
  if (Buffer.isBuffer(secret)) return secret
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE((secret ?? 0) >>> 0)
  return bytes
}
