import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { Drain } from '../../../../lib/http/listener/drain.ts'
import { limitClients } from '../../../../lib/http/listener/http-limits.ts'
import { createLog } from '../../../../lib/log.ts'
import { afterTest } from '../../../helpers/after-test.ts'
import { eventually } from '../../../helpers/process.ts'

const REQUEST = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'
const KEEP_ALIVE_MS = 100
/** Newer versions of Node.js give clients a second more than they are told. */
const LONGER_MS = KEEP_ALIVE_MS + 1200

/** A connection that has had an answer, to a server that closes it after KEEP_ALIVE_MS. */
async function openKept() {
  const drain = new Drain((_, res) => res.end('here'))
  const server = createServer(drain.listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  drain.watch(server)
  const limits = {
    requestTimeoutMs: 60_000,
    sendTimeoutMs: 60_000,
    keepAliveMs: KEEP_ALIVE_MS,
    maxHttpConnections: 10,
  }
  limitClients(server, drain, limits, createLog('error'))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  afterTest(() => {
    socket.destroy()
    server.closeAllConnections()
    server.close()
  })
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk) => {
    text += chunk
  })
  socket.on('error', () => {})
  const answers = () => text.match(/HTTP\/1\.1 200/g)?.length ?? 0
  socket.write(REQUEST)
  await eventually('an answer', () => answers() === 1)
  return { socket, answers }
}

it('closes a connection that is kept alive after the time', async () => {
  const { socket } = await openKept()
  await once(socket, 'close')
})

it('reads what has arrived before it closes one, where the event loop was late', async () => {
  const { socket, answers } = await openKept()
  await sleep(KEEP_ALIVE_MS / 2)
  socket.write(REQUEST)
  // The time is over when the loop turns again, and the request is in the socket's buffer.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LONGER_MS)
  await eventually('the answer, or the end', () => answers() === 2 || socket.closed)
  expect(answers()).toBe(2)
})
