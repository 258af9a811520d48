import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { parseDatabaseUrl, type Server } from '../../../../lib/postgres/hosts/server.ts'
import { Connection } from '../../../../lib/postgres/pools/connection.ts'
import { type Greeting, logIn } from '../../../../lib/postgres/session/log-in.ts'
import { Scram } from '../../../../lib/postgres/session/scram.ts'
import { openSocket } from '../../../../lib/postgres/session/socket.ts'
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
    // A gateway takes CONNECT from PUBLIC in its administrative database.
    await queryDatabase(
      server.database,
      `create role ${role} login password 'the first é one';
       grant connect on database "${server.database}" to ${role}`,
    )
  })
  afterAll(async () => {
    await queryDatabase(
      server.database,
      `revoke connect on database "${server.database}" from ${role}; drop role ${role}`,
    )
  })

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

const offer = () => authentication(10, 'SCRAM-SHA-256\0\0')
const nonceOf = (got: string) => /r=([^,]+)/.exec(got)![1]

describe('a server', () => {
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

/** Logs in at a server that answers so, and gives its greeting. */
async function greetingOf(answers: ((got: string) => Buffer)[]): Promise<Greeting> {
  let greeting: Greeting | undefined
  await withServer(answers, async (at) => {
    const socket = await openSocket(at, 1000)
    try {
      const patience = setTimeout(() => socket.destroy(), 2000)
      greeting = await logIn(socket, at, { user: at.user }).finally(() => clearTimeout(patience))
    } finally {
      socket.destroy()
    }
  })
  return greeting!
}

function message(type: string, body: Buffer | string): Buffer {
  const bytes = Buffer.from(body)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(4 + bytes.length, 1)
  return Buffer.concat([head, bytes])
}

describe('each method that a password is enough for', () => {
  const secret = Buffer.alloc(32, 7)
  const welcome = Buffer.concat([
    authentication(0, ''),
    message('S', 'TimeZone\0Asia/Tokyo\0'),
    message('N', 'SNOTICE\0\0'),
    message('K', Buffer.concat([Buffer.from([0, 0, 4, 210]), secret])),
    message('Z', 'I'),
  ])
  const expectWelcome = (greeting: Greeting) => {
    expect(greeting).toEqual({
      bytes: welcome,
      pid: 1234,
      secret,
      parameters: new Map([['TimeZone', 'Asia/Tokyo']]),
    })
  }

  test('none', async () => {
    expectWelcome(await greetingOf([() => welcome]))
  })

  test('clear text', async () => {
    const sent: string[] = []
    const accept = (got: string) => {
      sent.push(got)
      return welcome
    }
    expectWelcome(await greetingOf([() => authentication(3, ''), accept]))
    expect(sent).toEqual(['p\0\0\0\x0bsecret\0'])
  })

  test('MD5, as PostgreSQL computes it', async () => {
    const ask = authentication(5, 'salt')
    const sent: string[] = []
    const accept = (got: string) => {
      sent.push(got.slice(5, -1))
      return welcome
    }
    expectWelcome(await greetingOf([() => ask, accept]))
    const sql = `select 'md5' || md5(md5('secret${server.user}') || 'salt') as expected`
    const [row] = await queryDatabase(server.database, sql)
    expect(sent).toEqual([row!.expected])
  })

  test('SCRAM, with a nonce of 10,000 characters', async () => {
    const challenge = (got: string) => {
      return authentication(11, `r=${nonceOf(got)}${'x'.repeat(10_000)},s=${btoa('salt')},i=4096`)
    }
    const seen: string[] = []
    const refuse = (got: string) => {
      seen.push(got)
      return message('E', 'SFATAL\0VFATAL\0C28P01\0Mno\0\0')
    }
    await expect(greetingOf([offer, challenge, refuse])).rejects.toMatchObject({
      name: 'ServerError',
      code: '28P01',
    })
    expect(seen[0]).toContain('x'.repeat(10_000))
  })

  test.each([
    ['GSSAPI', authentication(7, '')],
    ['SSPI', authentication(9, '')],
    ['method 77', authentication(77, '')],
    ['SCRAM-SHA-256-PLUS', authentication(10, 'SCRAM-SHA-256-PLUS\0\0')],
  ])('and not %s', async (name, ask) => {
    const refused = greetingOf([() => ask])
    await expect(refused).rejects.toMatchObject({ code: 'AUTHENTICATION_UNSUPPORTED' })
    await expect(refused).rejects.toThrow(name)
  })

  test('without a proof of the server, SCRAM is not accepted', async () => {
    const challenge = (got: string) =>
      authentication(11, `r=${nonceOf(got)}more,s=${btoa('salt')},i=4096`)
    for (const answers of [
      [offer, () => welcome],
      [offer, challenge, () => welcome],
    ]) {
      await expect(greetingOf(answers)).rejects.toMatchObject({ code: 'SCRAM_FAILED' })
    }
  })

  test.each([
    ['a length of 3', Buffer.from([82, 0, 0, 0, 3])],
    ['a length of 2 GiB', Buffer.from([82, 127, 255, 255, 255])],
    ['another message', message('Z', 'I')],
    ['HTTP', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
  ])('%s is no answer of PostgreSQL', async (_, answer) => {
    await expect(greetingOf([() => answer])).rejects.toMatchObject({ code: 'PROTOCOL_VIOLATION' })
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
