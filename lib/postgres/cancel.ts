import type { Server } from './server.ts'
import { openSocket } from './session/socket.ts'

/** A server process and the secret that lets one cancel what it runs (BackendKeyData). */
export interface Backend {
  pid: number | null
  secret: number | null
}

/** CancelRequest of the PostgreSQL protocol ("Message Formats"): length 16, code 80877102. */
const CANCEL_REQUEST = [16, 80877102]

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
  const message = Buffer.alloc(16)
  const fields = [...CANCEL_REQUEST, (pid ?? 0) >>> 0, (secret ?? 0) >>> 0]
  for (const [i, field] of fields.entries()) message.writeUInt32BE(field, 4 * i)
  const socket = await openSocket(server, timeoutMs)
  await new Promise<void>((resolve, reject) => {
    socket.setTimeout(timeoutMs, () => socket.destroy())
    socket.once('error', reject).once('close', () => resolve())
    socket.resume()
    socket.end(message)
  })
}
