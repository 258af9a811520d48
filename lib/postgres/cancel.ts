import type { Server } from './hosts/server.ts'
import { openSocket } from './session/socket.ts'

/** A server process and the secret that lets one cancel what it runs (BackendKeyData). */
export interface Backend {
  pid: number
  secret: Buffer
}

/** Of CancelRequest (PostgreSQL manual, "Message Formats"), behind its length. */
const CANCEL_REQUEST_CODE = 80_877_102

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
  const head = Buffer.alloc(12)
  head.writeUInt32BE(head.length + secret.length, 0)
  head.writeUInt32BE(CANCEL_REQUEST_CODE, 4)
  head.writeUInt32BE(pid, 8)
  const socket = await openSocket(server, timeoutMs)
  await new Promise<void>((resolve, reject) => {
    socket.setTimeout(timeoutMs, () => socket.destroy())
    socket.once('error', reject).once('close', () => resolve())
    socket.resume()
    socket.end(Buffer.concat([head, secret]))
  })
}
