import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll } from 'vitest'
import type { Json } from './gateway.ts'
import { eventually } from './process.ts'

/** An alert as a receiver gets it. */
export interface Received {
  headers: IncomingHttpHeaders
  path: string
  body: string
  alert: Json
}

/** A receiver of alerts for the tests of one file. */
export interface Receiver {
  url: string
  received: Received[]
  /** Statuses of the next answers, and their headers; 204 where there are none. */
  answers: { status: number; headers?: Record<string, string> }[]
  /** Waits for an alert of this type that `fits`. */
  next(type: string, fits?: (alert: Json) => boolean): Promise<Received>
  /** The alerts of this type so far. */
  of(type: string): Json[]
}

export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = []
  const answers: Receiver['answers'] = []
  const server = createServer(async (req, res) => {
    const body = await text(req)
    const { status, headers = {} } = answers.shift() ?? { status: 204 }
    received.push({ headers: req.headers, path: req.url!, body, alert: JSON.parse(body) })
    res.writeHead(status, headers).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/hook/of-the-test`,
    received,
    answers,
    next: (type, fits = () => true) =>
      eventually(`an alert ${type}`, () =>
        received.find(({ alert }) => alert.type === type && fits(alert)),
      ),
    of: (type) => received.flatMap(({ alert }) => (alert.type === type ? [alert] : [])),
  }
}
