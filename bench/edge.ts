import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { defineHandler } from 'h3'
import { CallsInFlight } from '../lib/activity/calls-in-flight.ts'
import { readConfig } from '../lib/config.ts'
import { GatewayError } from '../lib/errors.ts'
import type { Gateway } from '../lib/gateway-parts.ts'
import { createListener } from '../lib/http/app.ts'
import { readJsonObject } from '../lib/http/body/body.ts'
import { Drain } from '../lib/http/listener/drain.ts'
import { nodeOf } from '../lib/http/request.ts'
import type { Route } from '../lib/http/routes.ts'
import { createLog } from '../lib/log.ts'

/**
 * The CPU that a request costs between the socket and a handler: `node --import tsx bench/edge.ts`.
 * Each server is a process of its own; its CPU time is divided by the requests, and by that of
 * node:http alone.
 */

const REQUESTS = Number(process.env.EDGE_REQUESTS ?? 60_000)
const ROUNDS = 3
const WARM_UP = 20_000
const CLIENTS = 32
const ANSWER = '{"rows":[{"ping":"pong"}],"row_count":1,"execution_time_ms":1}'
const BODY = '{"platform":"clinic","tenant_id":"north","function":"ping","params":[1]}'

const HEAD = { 'content-type': 'application/json; charset=utf-8' }

function answering(work: (event: Parameters<typeof nodeOf>[0]) => unknown): RequestListener {
  const handler = defineHandler({ handler: work })
  const routes: Route[] = [
    { method: 'POST', path: '/call', access: 'network', handler },
    { method: 'GET', path: '/call/:platform/:function', access: 'network', handler },
  ]
  const gateway = {
    config: readConfig({}),
    log: createLog('info', { write: () => {} }),
    routeCounters: [],
    inFlight: new CallsInFlight('bench'),
  } as unknown as Gateway
  return createListener(gateway, routes)
}

function answer({ res }: ReturnType<typeof nodeOf>): void {
  res.writeHead(200, { ...HEAD, 'content-length': ANSWER.length })
  res.end(ANSWER)
}

const refuse = () => {
  throw new GatewayError('query_failed', 'No such patient', { sqlstate: 'P0001' }, 400)
}

/** What is measured: bare is node:http alone, which reads the body where the others do. */
const SERVERS: Record<string, RequestListener> = {
  bare: (req, res) => answer({ req, res }),
  'bare, body': (req, res) => {
    const chunks: Buffer[] = []
    req.on('data', (chunk) => chunks.push(chunk))
    req.on('end', () => {
      JSON.parse(Buffer.concat(chunks).toString())
      answer({ req, res })
    })
  },
  gateway: answering((event) => answer(nodeOf(event))),
  'gateway, body': answering(async (event) => {
    await readJsonObject(event, ['platform', 'tenant_id', 'function', 'params'])
    answer(nodeOf(event))
  }),
  'gateway, error': answering(refuse),
  'gateway, body, error': answering(async (event) => {
    await readJsonObject(event, ['platform', 'tenant_id', 'function', 'params'])
    refuse()
  }),
  'gateway, GET': answering((event) => answer(nodeOf(event))),
}

const POST = `POST /call HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`
const GET = 'GET /call/clinic/ping HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n'

/** In a process of its own. */
function serve(name: string): void {
  const drain = new Drain(SERVERS[name]!)
  const server = createServer(name.startsWith('bare') ? SERVERS[name]! : drain.listener)
  drain.watch(server)
  server.listen(0, '127.0.0.1', () => process.send!((server.address() as AddressInfo).port))
  process.on('message', () => {
    const { user, system } = process.cpuUsage()
    process.send!(user + system)
  })
}

async function ask(child: ChildProcess): Promise<number> {
  child.send('cpu')
  return (await once(child, 'message'))[0]
}

/** Sends so many requests over CLIENTS connections, one at a time on each. */
async function load(port: number, request: string, count: number): Promise<void> {
  let left = count
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      const socket = connect(port, '127.0.0.1').setNoDelay()
      await once(socket, 'connect')
      await new Promise<void>((resolve) => {
        const next = () => (left-- > 0 ? socket.write(request) : resolve())
        socket.on('data', next)
        next()
      })
      socket.destroy()
    }),
  )
}

async function measure(name: string): Promise<number> {
  const child = fork(import.meta.filename, [name], {
    execArgv: ['--import', 'tsx'],
  })
  const [port] = await once(child, 'message')
  const request = name.endsWith('GET') ? GET : POST
  await load(port, request, WARM_UP)
  const before = await ask(child)
  await load(port, request, REQUESTS)
  const us = ((await ask(child)) - before) / REQUESTS
  child.kill()
  return us
}

const [, , name] = process.argv
if (name) {
  serve(name)
} else {
  const best = new Map<string, number>()
  // The least of several: what else the machine does only adds.
  for (let round = 0; round < ROUNDS; round++) {
    for (const server of Object.keys(SERVERS)) {
      best.set(server, Math.min(best.get(server) ?? Infinity, await measure(server)))
    }
  }
  const bare = best.get('bare')!
  for (const [server, us] of best) {
    const ratio = (us / bare).toFixed(2).padStart(8)
    console.log(`${server.padEnd(24)}${us.toFixed(1).padStart(8)} us${ratio}`)
  }
}
