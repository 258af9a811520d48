import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterTest } from './after-test.ts'

/** A connection on which a test writes raw bytes. */
export interface RawConnection {
  socket: Socket
  /** Returns the bytes received so far, one character a byte. */
  text(): string
  /** Resolves with all received bytes when the connection is closed. */
  closed: Promise<string>
}

/** Opens a connection to the gateway at `url`; it is closed after the test. */
export async function openRaw(url: string): Promise<RawConnection> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  afterTest(() => socket.destroy())
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  // Close the own end only after the gateway has closed its end, which is what tests check.
  socket.once('end', () => socket.end())
  const closed = once(socket, 'close').then(() => text)
  // A test may await it only after it has failed.
  closed.catch(() => {})
  await once(socket, 'connect')
  return { socket, text: () => text, closed }
}

/** Sends the bytes, and resolves with all received bytes when the gateway closes the connection. */
export async function sendRaw(url: string, bytes: string | Uint8Array): Promise<string> {
  const { socket, closed } = await openRaw(url)
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  return closed
}

/** A parsed response. */
export interface RawAnswer {
  status: number
  headers: Map<string, string>
  body: string
}

/** Parses the first response of the received bytes. */
export function parseAnswer(text: string): RawAnswer {
  const match = /^HTTP\/1\.1 (\d{3}) [^\r]*\r\n([\s\S]*?)\r\n\r\n([\s\S]*)$/.exec(text)
  if (!match) throw new Error(`No answer: ${JSON.stringify(text.slice(0, 200))}`)
  const lines = match[2]!.split('\r\n').map((line) => line.split(/:\s*/, 2) as [string, string])
  const headers = new Map(lines.map(([name, value]) => [name.toLowerCase(), value]))
  return { status: Number(match[1]), headers, body: match[3]! }
}
