import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { Drain } from '../../lib/drain.ts'
import { afterTest, eventually } from '../helpers/process.ts'

const REQUEST = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'
const LONG_MS = 60_000

/** A connection, and all that came on it so far. */
interface Client {
  socket: Socket
  text(): string
  /** Nothing more comes on it. */
  end: Promise<unknown>
}

/** A server whose `close` is that of a drain. */
async function startServer(listener: RequestListener = (_, res) => res.end('here')) {
  const drain = new Drain(listener)
  const server = createServer(drain.listener).listen(0, '127.0.0.1')
  drain.watch(server)
  await once(server, 'listening')
  afterTest(() => server.closeAllConnections())
  const { port } = server.address() as AddressInfo
  return { port, close: (limitMs = LONG_MS) => drain.close(server, limitMs) }
}

/** A connection; the server may not have accepted it yet. */
async function open(port: number): Promise<Client> {
  const socket = connect(port, '127.0.0.1').setEncoding('latin1')
  afterTest(() => socket.destroy())
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  const end = once(socket, 'close')
  await once(socket, 'connect')
  return { socket, text: () => text, end }
}

async function openAndAsk(port: number): Promise<Client> {
  const client = await open(port)
  client.socket.write(REQUEST)
  await eventually('an answer', () => client.text().includes('here'))
  return client
}

/** How many answers came, and how many of them said that they were the last. */
function answersOf(client: Client): { answers: number; last: number } {
  return {
    answers: client.text().match(/HTTP\/1\.1 200/g)?.length ?? 0,
    last: client.text().match(/connection: close/gi)?.length ?? 0,
  }
}

it('answers one more request of a connection that is kept alive, and says that it was the last', async () => {
  const { port, close } = await startServer()
  const client = await openAndAsk(port)
  expect(answersOf(client)).toEqual({ answers: 1, last: 0 })

  const closed = close()
  client.socket.write(REQUEST)

  await client.end
  expect(answersOf(client)).toEqual({ answers: 2, last: 1 })
  await closed
})

it('answers the first request of a connection that has not sent any yet', async () => {
  const { port, close } = await startServer()
  const client = await open(port)
  // Connections are accepted in order.
  await openAndAsk(port)

  const closed = close()
  client.socket.write(REQUEST)

  await client.end
  expect(answersOf(client)).toEqual({ answers: 1, last: 1 })
  await closed
})

it('says that it is the last with an answer that was waited for before', async () => {
  const waiting: ServerResponse[] = []
  const { port, close } = await startServer((_, res) => waiting.push(res))
  const client = await open(port)
  client.socket.write(REQUEST)
  await eventually('the request is there', () => waiting.length > 0)

  const closed = close()
  waiting[0]!.end('here')

  await client.end
  expect(answersOf(client)).toEqual({ answers: 1, last: 1 })
  await closed
})

it('answers all requests that came at once, and says with the last one that it is', async () => {
  const { port, close } = await startServer((_, res) => setTimeout(() => res.end('here'), 10))
  const client = await openAndAsk(port)

  const closed = close()
  client.socket.write(REQUEST + REQUEST + REQUEST)

  await client.end
  expect(answersOf(client)).toEqual({ answers: 4, last: 1 })
  await closed
})

it('closes connections that stay quiet, whether or not they ever sent anything', async () => {
  const { port, close } = await startServer()
  const clients = [await open(port), await openAndAsk(port)]

  await close()

  await Promise.all(clients.map(({ end }) => end))
})

it('cuts what is not answered in time', async () => {
  let isThere = false
  const { port, close } = await startServer(() => {
    isThere = true
  })
  const client = await open(port)
  client.socket.write(REQUEST)
  await eventually('the request is there', () => isThere)

  await close(100)

  await client.end
  expect(client.text()).toBe('')
})

it('accepts nothing more', async () => {
  const { port, close } = await startServer()
  const closed = close()

  const socket = connect(port, '127.0.0.1')
  const [error] = await once(socket, 'error')
  expect(error).toMatchObject({ code: 'ECONNREFUSED' })
  await closed
})
