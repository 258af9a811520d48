import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { joinWrites } from '../../../../lib/postgres/session/joined-writes.ts'

test('what is written before the event loop goes on is one write, in its order, the end last', async () => {
  let received = ''
  const server = createServer((socket) => {
    socket.on('data', (bytes) => {
      received += bytes.toString()
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  joinWrites(socket)
  try {
    expect(socket.write(Buffer.from('a'))).toBe(true)
    await Promise.resolve()
    socket.write(Buffer.from('b'))
    expect(socket.bytesWritten).toBe(0)
    await new Promise((resolve) => setImmediate(resolve))
    expect(socket.bytesWritten).toBe(2)
    socket.write(Buffer.from('c'))
    let isCalled = false
    socket.write(Buffer.from('d'), () => {
      isCalled = true
    })
    expect(socket.bytesWritten).toBe(4)
    socket.write(Buffer.from('e'))
    socket.end(Buffer.from('f'))
    await once(socket, 'close')
    expect(isCalled).toBe(true)
    expect(received).toBe('abcdef')
  } finally {
    socket.destroy()
    server.close()
  }
})
