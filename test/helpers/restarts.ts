import { Agent, request } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Json } from './gateway.ts'
import { afterTest } from './process.ts'

/** A socket as systemd holds it: it is never accepted on here. */
export interface HeldSocket {
  fd: number
  port: number
}

/** Requests of many clients, one after the other each, until they are told to stop. */
export interface Clients {
  /** How many were answered rightly so far. */
  answered(): number
  /** What became of all others. */
  lost(): string[]
  stop(): Promise<void>
}

/** What Node.js makes listeners of; there is no public way to a socket that nobody accepts on. */
interface Handle {
  fd: number
  getsockname(out: Partial<AddressInfo>): number
  close(): void
}
const internals = net as unknown as {
  _createServerHandle(address: string, port: number, family: 4): Handle
}

/** A socket on a free port of 127.0.0.1, until after the test. The first process listens on it. */
export function holdSocket(): HeldSocket {
  const handle = internals._createServerHandle('127.0.0.1', 0, 4)
  afterTest(() => handle.close())
  const name: Partial<AddressInfo> = {}
  handle.getsockname(name)
  return { fd: handle.fd, port: name.port! }
}

/**
 * Clients that call `send_back` of a platform with a number of their own each time, and look at the
 * answer. Those with keep-alive use a connection as long as they are let.
 */
export function startClients(
  port: number,
  platform: string,
  { count, keepAlive, pauseMs }: { count: number; keepAlive: boolean; pauseMs: number },
): Clients {
  const lost: string[] = []
  let answered = 0
  let isOver = false
  const client = async (first: number) => {
    const agent = new Agent({ keepAlive, maxSockets: 1 })
    for (let number = first; !isOver; number += count) {
      try {
        const { rows } = await post(port, agent, {
          platform,
          function: 'send_back',
          params: [number],
        })
        if (rows?.[0]?.send_back === number) answered++
        else lost.push(`${number}: ${JSON.stringify(rows)}`)
      } catch (error) {
        lost.push(`${number}: ${(error as NodeJS.ErrnoException).code ?? error}`)
      }
      await sleep(Math.random() * 2 * pauseMs)
    }
    agent.destroy()
  }
  const clients = Array.from({ length: count }, (_, i) => client(i))
  const stop = async () => {
    isOver = true
    await Promise.all(clients)
  }
  afterTest(stop)
  return { answered: () => answered, lost: () => lost, stop }
}

function post(port: number, agent: Agent, body: unknown): Promise<Json> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' }
    const sent = request(
      { host: '127.0.0.1', port, path: '/call', method: 'POST', agent, headers },
      (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk) => {
          text += chunk
        })
        response.on('error', reject)
        response.on('end', () => resolve(JSON.parse(text)))
      },
    )
    sent.on('error', reject)
    sent.end(JSON.stringify(body))
  })
}
