import { Agent, type RequestOptions, request } from 'node:https'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { afterTest } from './after-test.ts'
import type { Json } from './gateway.ts'

/** A response, and the server that sent it. */
export interface SecureAnswer {
  status: number
  /** Parsed JSON, or any other body as text. */
  body: Json
  /** Common name of the server's certificate; undefined for a resumed session. */
  server: string | undefined
  isResumed: boolean
  protocol: string | null
}

/**
 * Sends one request, on a new connection unless an agent is given. Rejects if there is no response.
 */
export function askSecurely(
  url: string,
  options: RequestOptions & Pick<ConnectionOptions, 'session'>,
  body?: unknown,
): Promise<SecureAnswer> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, ...options }, (response) => {
      const socket = response.socket as TLSSocket
      const seen = {
        server: socket.getPeerCertificate().subject?.CN as string | undefined,
        isResumed: socket.isSessionReused(),
        protocol: socket.getProtocol(),
      }
      let text = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      const isJson = response.headers['content-type']?.startsWith('application/json')
      response.on('error', reject)
      response.on('end', () => {
        resolve({ status: response.statusCode!, body: isJson ? JSON.parse(text) : text, ...seen })
      })
    })
    sent.on('error', reject)
    if (body instanceof Request) {
      body.headers.forEach((value, name) => {
        sent.setHeader(name, value)
      })
      body.arrayBuffer().then((bytes) => sent.end(Buffer.from(bytes)), reject)
    } else if (body === undefined) {
      sent.end()
    } else {
      sent.setHeader('content-type', 'application/json')
      sent.end(JSON.stringify(body))
    }
  })
}

/** Returns an agent that keeps one connection until the end of the test. */
export function keepAlive(options: ConnectionOptions): Agent {
  const agent = new Agent({ ...(options as object), keepAlive: true, maxSockets: 1 })
  afterTest(() => agent.destroy())
  return agent
}
