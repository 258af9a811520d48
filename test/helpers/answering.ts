import { createServer } from 'node:http'
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
