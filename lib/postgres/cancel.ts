import type { Server } from './hosts/server.ts'
import { openSocket } from './session/socket.ts'

/** A server process and the secret that authorises a cancel request for it (BackendKeyData). */
export interface Backend {
  pid: number
  secret: Buffer
}

/** Request code of CancelRequest (PostgreSQL manual, "Message Formats"). */
const CANCEL_REQUEST_CODE = 80_877_102

/**
 * Sends a cancel request for the statement that the backend runs now. Resolves when the server has
 * read the request and closed the socket. PostgreSQL starts no session for it, so it does not count
 * as a connection.
 * @throws {Error} from the socket
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
    // Not `end`: PgBouncer 1.18 exits where the client has gone before the request was passed on.
    socket.write(Buffer.concat([head, secret]))
  })
}
