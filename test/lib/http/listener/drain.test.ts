import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { Drain } from '../../../../lib/http/listener/drain.ts'
import { afterTest } from '../../../helpers/after-test.ts'
import { eventually } from '../../../helpers/process.ts'
import { tlsFile, trusting } from '../../../helpers/tls.ts'

const REQUEST = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'
const LONG_MS = 60_000

/** A connection, and all that came on it so far. */
interface Client {
  socket: Socket
  text(): string
  /** Nothing more comes on it. */
  end: Promise<unknown>
}

/** How to connect to it. */
interface Address {
  kind: string
  port: number
}

/** A server whose `close` is that of a drain. */
async function startServer(kind: string, listener: RequestListener = (_, res) => res.end('here')) {
  const drain = new Drain(listener)
  const options = { cert: tlsFile('server.crt'), key: tlsFile('server.key') }
  const server =
    kind === 'HTTPS'
      ? createTlsServer(options, drain.listener).listen(0, '127.0.0.1')
      : createServer(drain.listener).listen(0, '127.0.0.1')
  drain.watch(server)
  await once(server, 'listening')
  afterTest(() => server.closeAllConnections())
  const { port } = server.address() as AddressInfo
  return { kind, port, close: (limitMs = LONG_MS) => drain.close(server, limitMs) }
}

/** A connection; the server may not have accepted it yet, unless it is one of HTTPS. */
async function open({ kind, port }: Address): Promise<Client> {
  const socket: Socket =
    kind === 'HTTPS'
      ? connectTls({ port, host: '127.0.0.1', ...trusting() })
      : connect(port, '127.0.0.1')
  socket.setEncoding('latin1')
  afterTest(() => socket.destroy())
  socket.on('error', () => {})
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  const end = new Promise<unknown>((resolve) => socket.once('close', resolve))
  await once(socket, kind === 'HTTPS' ? 'secureConnect' : 'connect')
  return { socket, text: () => text, end }
}

async function openAndAsk(server: Address): Promise<Client> {
  const client = await open(server)
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

it('a quiet connection keeps no request and no answer in memory', async () => {
  const answers: WeakRef<ServerResponse>[] = []
  const server = await startServer('HTTP', (_, res) => {
    answers.push(new WeakRef(res))
    res.end('here')
  })
  const client = await openAndAsk(server)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await eventually('the collection of the answer', async () => {
    await nextTurn()
    collect()
    return answers[0]?.deref() === undefined
  })
  expect(client.socket.readyState).toBe('open')
})

describe.each(['HTTP', 'HTTPS'])('a server of %s that is closed', (kind) => {
  it('answers one more request of a connection that is kept alive, and says that it was the last', async () => {
    const server = await startServer(kind)
    const client = await openAndAsk(server)
    expect(answersOf(client)).toEqual({ answers: 1, last: 0 })

    const closed = server.close()
    client.socket.write(REQUEST)

    await client.end
    expect(answersOf(client)).toEqual({ answers: 2, last: 1 })
    await closed
  })

  it('answers the first request of a connection that has not sent any yet', async () => {
    const server = await startServer(kind)
    const client = await open(server)
    // Connections are accepted in order.
    await openAndAsk(server)

    const closed = server.close()
    client.socket.write(REQUEST)

    await client.end
    expect(answersOf(client)).toEqual({ answers: 1, last: 1 })
    await closed
  })

  it('says that it is the last with an answer that was waited for before', async () => {
    const waiting: ServerResponse[] = []
    const server = await startServer(kind, (_, res) => waiting.push(res))
    const client = await open(server)
    client.socket.write(REQUEST)
    await eventually('the request is there', () => waiting.length > 0)

    const closed = server.close()
    waiting[0]!.end('here')

    await client.end
    expect(answersOf(client)).toEqual({ answers: 1, last: 1 })
    await closed
  })

  it('leaves a client alone that waits for its answer, while it closes those that are quiet', async () => {
    const waiting: ServerResponse[] = []
    const server = await startServer(kind, (_, res) => waiting.push(res))
    const [client, quiet] = [await open(server), await open(server)]
    quiet.socket.write(REQUEST)
    await eventually('the request is there', () => waiting.length > 0)
    waiting[0]!.end('here')
    await eventually('an answer', () => quiet.text().includes('here'))
    client.socket.write(REQUEST)
    await eventually('the other request is there', () => waiting.length > 1)

    const closed = server.close()
    await quiet.end
    waiting[1]!.end('here')

    await client.end
    expect(answersOf(client)).toEqual({ answers: 1, last: 1 })
    await closed
  })

  it('answers all requests that came at once, and says with the last one that it is', async () => {
    const server = await startServer(kind, (_, res) => setTimeout(() => res.end('here'), 10))
    const client = await openAndAsk(server)

    const closed = server.close()
    client.socket.write(REQUEST + REQUEST + REQUEST)

    await client.end
    expect(answersOf(client)).toEqual({ answers: 4, last: 1 })
    await closed
  })

  it('closes connections that stay quiet, whether or not they ever sent anything', async () => {
    const server = await startServer(kind)
    const clients = [await open(server), await openAndAsk(server)]

    await server.close()

    await Promise.all(clients.map(({ end }) => end))
  })

  it('cuts what is not answered in time', async () => {
    let isThere = false
    const server = await startServer(kind, () => {
      isThere = true
    })
    const client = await open(server)
    client.socket.write(REQUEST)
    await eventually('the request is there', () => isThere)

    await server.close(100)

    await client.end
    expect(client.text()).toBe('')
  })

  it('accepts nothing more', async () => {
    const server = await startServer(kind)
    const closed = server.close()

    const socket = connect(server.port, '127.0.0.1')
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
    await closed
  })
})

describe('a client that has not come to the end of its handshake', () => {
  it('is closed when it stays quiet', async () => {
    const server = await startServer('HTTPS')
    const client = await open({ ...server, kind: 'HTTP' })
    // Connections are accepted in order.
    await openAndAsk(server)

    await server.close()

    await client.end
  })

  it('is cut when it takes too long', async () => {
    const server = await startServer('HTTPS')
    const client = await open({ ...server, kind: 'HTTP' })
    await openAndAsk(server)
    // The head of a record of 16 KiB, which come one by one.
    client.socket.write(Buffer.from('1603014000', 'hex'))
    const drip = setInterval(() => client.socket.write(Buffer.alloc(1)), 20)
    afterTest(() => clearInterval(drip))

    await server.close(1500)

    await client.end
  })

  it('comes to it, asks and is answered', async () => {
    const server = await startServer('HTTPS')
    const client = await open({ ...server, kind: 'HTTP' })
    await openAndAsk(server)

    const closed = server.close()
    const secure = connectTls({ socket: client.socket, host: '127.0.0.1', ...trusting() })
    secure.setEncoding('latin1').write(REQUEST)

    const [answer] = await once(secure, 'data')
    expect(answer).toMatch(/connection: close/i)
    secure.destroy()
    await closed
  })
})

describe.each(['HTTP', 'HTTPS'])('requests that come at once on a connection of %s', (kind) => {
  const PADDED = REQUEST.replace('\r\n\r\n', `\r\npadding: ${'x'.repeat(4000)}\r\n\r\n`)

  /** A server that answers the first request when it is told to; the others at once. */
  async function startHeld() {
    const begun: ServerResponse[] = []
    const server = await startServer(kind, (_, res) => {
      if (begun.push(res) > 1) res.end('here')
    })
    return { begun, client: await open(server) }
  }

  it('begin one behind the other, each when the one before it is answered', async () => {
    const waiting: ServerResponse[] = []
    const server = await startServer(kind, (_, res) => waiting.push(res))
    const client = await open(server)
    client.socket.write(REQUEST + REQUEST + REQUEST)
    for (let count = 1; count <= 3; count++) {
      await eventually('it begins', () => waiting.length === count)
      await new Promise((resolve) => setImmediate(resolve))
      expect(waiting).toHaveLength(count)
      expect(answersOf(client).answers).toBe(count - 1)
      waiting.at(-1)!.end('here')
      await eventually('its answer', () => answersOf(client).answers === count)
    }
  })

  it('do not begin when the client has gone meanwhile', async () => {
    const { begun, client } = await startHeld()
    client.socket.write(REQUEST + REQUEST)
    await eventually('the first begins', () => begun.length === 1)
    client.socket.destroy()
    await eventually('it is noticed', () => begun[0]!.destroyed)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(begun).toHaveLength(1)
  })

  it('do not begin behind an answer that says it is the last', async () => {
    const { begun, client } = await startHeld()
    client.socket.write(REQUEST + REQUEST)
    await eventually('the first begins', () => begun.length === 1)
    begun[0]!.setHeader('connection', 'close').end('here')
    await client.end
    expect(answersOf(client)).toEqual({ answers: 1, last: 1 })
    expect(begun).toHaveLength(1)
  })

  it('are not all read while the first is not answered, and all are answered', async () => {
    const { begun, client } = await startHeld()
    client.socket.write(REQUEST)
    await eventually('the first begins', () => begun.length === 1)
    const { socket } = begun[0]!.req
    client.socket.write(PADDED.repeat(4000))
    await eventually('no more is read', () => socket.isPaused())
    // How much TLS has decrypted by then depends on the machine; not all of it.
    expect(socket.bytesRead).toBeLessThan(4000 * PADDED.length)
    begun[0]!.end('here')
    await eventually('all are answered', () => answersOf(client).answers === 4001)
  })
})
