import { Agent, request } from 'node:http'
import { afterTest } from './after-test.ts'
import type { Json } from './gateway.ts'
import { eventually, type GatewayProcess } from './process.ts'

/** A client with one connection of its own, which it keeps until it is lost. */
export interface Client {
  send(path: string, body?: unknown): Promise<Answered>
  call(platform: string, name: string, params?: unknown): Promise<Answered>
}

interface Answered {
  status: number
  body: Json
  /** X-Request-Id, which the log has too. */
  id: string
}

/** Opens a client. A parent gives the connections of clients to its workers in turn. */
export function newClient(url: string): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  afterTest(() => agent.destroy())
  const send: Client['send'] = (path, body) =>
    new Promise((resolve, reject) => {
      const method = body === undefined ? 'GET' : 'POST'
      const headers = { 'content-type': 'application/json' }
      const sent = request(url + path, { agent, method, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (piece) => {
          text += piece
        })
        response.on('error', reject)
        response.on('end', () => {
          const isJson = response.headers['content-type']?.includes('json')
          resolve({
            status: response.statusCode!,
            body: isJson ? JSON.parse(text) : text,
            id: String(response.headers['x-request-id']),
          })
        })
      })
      sent.on('error', reject)
      sent.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return {
    send,
    call: (platform, name, params) => send('/call', { platform, function: name, params }),
  }
}

/** Returns clients by the number of their worker, which gets the one of a call that is made of each. */
export async function byWorker(
  gateway: GatewayProcess,
  clients: Client[],
  call: (client: Client) => Promise<Answered>,
): Promise<Record<number, Client[]>> {
  const found: Record<number, Client[]> = {}
  for (const client of clients) {
    const { id } = await call(client)
    const { worker } = await eventually('its line', () =>
      gateway.entries().find((line) => line.request_id === id),
    )
    found[worker] ??= []
    found[worker].push(client)
  }
  return found
}

/** Returns the workers of a service as one of them reports them, once all are there. */
export async function workersOf(gateway: GatewayProcess, count: number): Promise<Json[]> {
  return eventually(`${count} workers`, async () => {
    const { body } = await newClient(await gateway.url()).send('/admin/pools')
    const own = body.gateways.find(({ self }: Json) => self)
    return own?.workers?.length === count && own.workers
  })
}

/** Returns the samples of a metric, by their labels as they are written. */
export async function samplesOf(url: string, name: string): Promise<Record<string, number>> {
  const { body } = await newClient(url).send('/metrics')
  const lines = (body as string).split('\n').filter((line) => /^[a-z_]+[{ ]/.test(line))
  return Object.fromEntries(
    lines
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .map((line) => {
        const space = line.lastIndexOf(' ')
        return [line.slice(name.length, space), Number(line.slice(space + 1))]
      }),
  )
}
