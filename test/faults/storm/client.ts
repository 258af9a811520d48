import { Agent, type IncomingMessage, request } from 'node:http'
import type { Json } from '../../helpers/gateway.ts'

/** What came of a request; `ms` is how long it took. */
export interface Reply {
  /** `left`: the client went away; `cut`: the gateway did; `hung`: it was given up. */
  end: 'answered' | 'left' | 'cut' | 'hung'
  status: number
  body: Json
  ms: number
}

export interface Request {
  method: 'GET' | 'POST'
  path: string
  body?: string
  /** How long an answer may take. */
  limitMs: number
  /** Goes away after so long without an answer. */
  leaveAfterMs?: number
}

/** An HTTP client with one connection, on which one request follows the other. */
export class Client {
  readonly #url: URL
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })

  constructor(url: string) {
    this.#url = new URL(url)
  }

  send({ method, path, body, limitMs, leaveAfterMs }: Request): Promise<Reply> {
    const started = performance.now()
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout
      const settle = (end: Reply['end'], status = 0, json: Json = undefined) => {
        clearTimeout(timer)
        resolve({ end, status, body: json, ms: performance.now() - started })
      }
      const { hostname, port } = this.#url
      const headers = body === undefined ? {} : { 'content-type': 'application/json' }
      const sent = request({ agent: this.#agent, hostname, port, method, path, headers })
      const hasLeft = leaveAfterMs !== undefined
      timer = setTimeout(() => {
        settle(hasLeft ? 'left' : 'hung')
        sent.destroy()
      }, leaveAfterMs ?? limitMs)
      sent.on('error', (error) => settle('cut', 0, String(error)))
      sent.on('response', (response) => {
        readAll(response).then(
          (text) => settle('answered', response.statusCode!, parse(text)),
          (error) => settle('cut', response.statusCode!, String(error)),
        )
      })
      sent.end(body)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  response.setEncoding('utf8')
  let text = ''
  for await (const chunk of response) text += chunk
  return text
}

function parse(text: string): Json {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
