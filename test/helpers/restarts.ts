import { Agent, request } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterTest } from './after-test.ts'
import type { Json } from './gateway.ts'

/** A listening socket as systemd holds it: this process never accepts connections on it. */
export interface HeldSocket {
  fd: number
  port: number
}

/** Clients that each send one request after another until they are stopped. */
export interface Clients {
  /** Returns the number of correct responses so far. */
  answered(): number
  /** Returns the failures of all other requests. */
  lost(): string[]
  stop(): Promise<void>
}

/**
 * Node.js's internal handle of a listener; no public API opens a socket without accepting on it.
 */
interface Handle {
  fd: number
  getsockname(out: Partial<AddressInfo>): number
  close(): void
}
const internals = net as unknown as {
  _createServerHandle(address: string, port: number, family: 4): Handle
}

/**
 * Opens a socket on a free port of 127.0.0.1 until the end of the test. The first process that gets
 * it listens on it.
 */
export function holdSocket(): HeldSocket {
  const handle = internals._createServerHandle('127.0.0.1', 0, 4)
  afterTest(() => handle.close())
  const name: Partial<AddressInfo> = {}
  handle.getsockname(name)
  return { fd: handle.fd, port: name.port! }
}

/**
 * Starts clients that call `send_back` of a platform with a new number each time and check the
 * response. With `keepAlive` a client uses a connection as long as the gateway keeps it open.
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
