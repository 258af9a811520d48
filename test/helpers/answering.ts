import { createServer } from 'node:http'
import { createServer as createTcpServer } from 'node:net'
import { listen } from './losing-proxy.ts'

/** Starts a server that gives each request the same error, as a gateway or a proxy before it would. */
export async function answering(
  status: number,
  headers: Record<string, string>,
  error: string,
): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((_, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify({ error, message: 'No' }))
  })
  const url = await listen(server)
  const dispose = async () => {
    server.closeAllConnections()
    server.close()
  }
  return { url, [Symbol.asyncDispose]: dispose }
}

/**
 * Starts a server that answers each request with the bytes for its path, which need not be whole, and
 * closes the connection.
 */
export async function answeringRaw(
  answer: (path: string) => string,
): Promise<{ url: string } & AsyncDisposable> {
  const server = createTcpServer((socket) => {
    let request = ''
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      request += bytes.toString('latin1')
      const [head, body] = request.split('\r\n\r\n')
      const length = Number(/content-length: (\d+)/i.exec(head!)?.[1])
      if (body === undefined || body.length < length) return
      socket.end(answer(request.split(' ')[1]!))
    })
  })
  const url = await listen(server)
  return { url, [Symbol.asyncDispose]: async () => void server.close() }
}
