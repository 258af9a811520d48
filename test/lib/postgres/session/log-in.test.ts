import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { Connection } from '../../../../lib/postgres/connection.ts'
import { parseDatabaseUrl, type Server } from '../../../../lib/postgres/server.ts'
import { Scram } from '../../../../lib/postgres/session/scram.ts'
import { queryDatabase, uniqueName } from '../../../helpers/gateway.ts'

const server = parseDatabaseUrl(inject('databaseUrl'))

/** Logs in with a connection of its own, and says who it is there. */
async function logInAt(at: Server, database = server.database): Promise<string> {
  const limits = { connectTimeoutMs: 1000, statementTimeoutMs: 5000 }
  const connection = new Connection(at, { database, ...limits }, () => {})
  try {
    const [row] = await connection.sql`select current_user::text as role`
    return row!.role
  } finally {
    await connection.close()
  }
}

describe('a role with a password', () => {
  const role = uniqueName('role')
  beforeAll(async () => {
    await queryDatabase(server.database, `create role ${role} login password 'the first é one'`)
  })
  afterAll(() => queryDatabase(server.database, `drop role ${role}`))

  const at = { ...server, user: role, password: 'the first é one' }

  test('logs in, again and again', async () => {
    for (let i = 0; i < 3; i++) expect(await logInAt(at)).toBe(role)
  })

  test('logs in after the same password was set anew, with another salt', async () => {
    await queryDatabase(server.database, `alter role ${role} password 'the first é one'`)
    expect(await logInAt(at)).toBe(role)
    expect(await logInAt(at)).toBe(role)
  })

  test('may write a letter of it in another way of Unicode', async () => {
    expect(await logInAt({ ...at, password: at.password.normalize('NFD') })).toBe(role)
  })

  test('is refused with another password, by PostgreSQL’s own error', async () => {
    for (const password of ['wrong', '']) {
      await expect(logInAt({ ...at, password })).rejects.toMatchObject({ code: '28P01' })
    }
  })

  test('is told of a database that does not exist', async () => {
    await expect(logInAt(at, 'no_such_database')).rejects.toMatchObject({ code: '3D000' })
  })
})

/** A server that says this to each message, one after the other, and closes then if it is told. */
async function withServer(
  answers: ((got: string) => Buffer)[],
  work: (at: Server) => Promise<void>,
  closes = false,
) {
  const sockets = new Set<Socket>()
  const listener = createServer((socket) => {
    sockets.add(socket)
    const left = [...answers]
    socket.on('error', () => {})
    socket.on('data', (data) => {
      const answer = left.shift()
      if (answer) socket.write(answer(data.toString('latin1')))
      else if (closes) socket.end()
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address() as AddressInfo
  try {
    await work({ ...server, host: '127.0.0.1', port, sslMode: 'disable', password: 'secret' })
  } finally {
    for (const socket of sockets) socket.destroy()
    listener.close()
  }
}

function authentication(step: number, text: string): Buffer {
  const message = Buffer.alloc(9 + Buffer.byteLength(text))
  message.write('R')
  message.writeInt32BE(message.length - 1, 1)
  message.writeInt32BE(step, 5)
  message.write(text, 9)
  return message
}

describe('a server', () => {
  const offer = () => authentication(10, 'SCRAM-SHA-256\0\0')
  const nonceOf = (got: string) => /r=([^,]+)/.exec(got)![1]

  test('that does not know the password itself gets no query', async () => {
    const challenge = (got: string) =>
      authentication(11, `r=${nonceOf(got)}more,s=${btoa('salt')},i=4096`)
    const accept = () =>
      Buffer.concat([
        authentication(12, `v=${Buffer.alloc(32).toString('base64')}`),
        authentication(0, ''),
        Buffer.from([90, 0, 0, 0, 5, 73]),
      ])
    await withServer([offer, challenge, accept], async (at) => {
      await expect(logInAt(at)).rejects.toMatchObject({ code: 'SCRAM_FAILED' })
    })
  })

  test('that answers somebody else’s nonce is not logged in to', async () => {
    const challenge = () => authentication(11, `r=another,s=${btoa('salt')},i=4096`)
    await withServer([offer, challenge], async (at) => {
      await expect(logInAt(at)).rejects.toMatchObject({ code: 'SCRAM_FAILED' })
    })
  })

  test('that goes away in the middle of it is an error at once', async () => {
    const going = async (at: Server) => {
      await expect(logInAt(at)).rejects.toMatchObject({ code: 'ECONNRESET' })
    }
    await withServer([], going, true)
    await withServer([offer], going, true)
  })

  test('that falls silent in the middle of it is given up in time', async () => {
    await withServer([offer], async (at) => {
      await expect(logInAt(at)).rejects.toMatchObject({ code: 'ETIMEDOUT' })
    })
  })
})

test('keys are derived once for a salt', async () => {
  const challenge = (scram: Scram, salt: string) =>
    `r=${/r=(.*)/.exec(scram.first())![1]}more,s=${btoa(salt)},i=4096`
  const first = new Scram('secret', undefined)
  await first.final(challenge(first, 'salt'))
  const second = new Scram('secret', first.known)
  await second.final(challenge(second, 'salt'))
  expect(second.known).toBe(first.known)
  const third = new Scram('secret', second.known)
  await third.final(challenge(third, 'other'))
  expect(third.known).not.toBe(second.known)
})
