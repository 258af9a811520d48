import { Agent, type RequestOptions, request } from 'node:https'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Json } from './gateway.ts'
import { afterTest } from './process.ts'

/** What a client gets, and of whom. */
export interface SecureAnswer {
  status: number
  /** The JSON, or another text as it is. */
  body: Json
  /** The common name of the server's certificate, which a session that is resumed has not. */
  server: string | undefined
  isResumed: boolean
  protocol: string | null
}

/** Asks once, on a connection of its own unless there is an agent; fails where there is no answer. */
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

/** Keeps one connection, until after the test. */
export function keepAlive(options: ConnectionOptions): Agent {
  const agent = new Agent({ ...(options as object), keepAlive: true, maxSockets: 1 })
  afterTest(() => agent.destroy())
  return agent
}
