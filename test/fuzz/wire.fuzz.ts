import { type Duplex, duplexPair } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe } from 'vitest'
import { readColumns, readRow } from '../../lib/postgres/session/fields.ts'
import { Input } from '../../lib/postgres/session/input.ts'
import { logIn } from '../../lib/postgres/session/log-in.ts'
import type { Query } from '../../lib/postgres/session/query.ts'
import { readServerError } from '../../lib/postgres/session/server-error.ts'
import { Session } from '../../lib/postgres/session/session.ts'
import { Statements } from '../../lib/postgres/session/statements.ts'
import { FakePostgres, message } from './fake-postgres.ts'
import { fuzz } from './fuzz.ts'

/** Much more than a loaded machine needs. */
const HANG_MS = 5000

const isViolation = (error: unknown) => (error as { code?: string }).code === 'PROTOCOL_VIOLATION'

/** Sizes of the pieces that a stream comes in, over and over. */
const splits = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })

function* split(bytes: Buffer, sizes: number[]): Generator<Buffer> {
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!
    yield bytes.subarray(at, at + size)
    at += size
  }
}

/** Fails rather than waits for ever. */
async function inTime<T>(promise: Promise<T>): Promise<T> {
  const patience = new AbortController()
  const late = sleep(HANG_MS, 'late' as const, { signal: patience.signal })
  late.catch(() => {})
  try {
    const first = await Promise.race([promise, late])
    if (first === 'late') throw new Error('It hangs')
    return first as T
  } finally {
    patience.abort()
  }
}

describe('readers of fields', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .array(fc.constantFrom(0, 1, 2, 4, 67, 77, 255), { maxLength: 40 })
      .map((list) => Uint8Array.from(list)),
  )
  for (const read of [readRow, readColumns, readServerError]) {
    fuzz(
      read.name,
      bytes,
      (input) => {
        // What lies around a message is not its own.
        const padded = Buffer.concat([Buffer.alloc(9, 1), input, Buffer.alloc(9)])
        read(padded, 9, 9 + input.length)
      },
      { isRefusal: isViolation },
    )
  }
})

describe('messages', () => {
  const messages = fc.array(
    fc.tuple(fc.constantFrom(...'DCZTNA?\0'), fc.uint8Array({ maxLength: 60 })),
    { maxLength: 12 },
  )

  function collect(chunks: Iterable<Buffer>): string[] {
    const taken: string[] = []
    const input = new Input({
      announce: (type) => (type === 0x4e ? 'drop' : 'take'),
      take: (type, bytes, start, end) => {
        taken.push(`${type}:${bytes.toString('hex', start, end)}`)
      },
    })
    for (const chunk of chunks) input.push(chunk)
    return taken
  }

  fuzz('are the same however they are split', fc.tuple(messages, splits), ([list, sizes]) => {
    const stream = Buffer.concat(list.map(([type, body]) => message(type, Buffer.from(body))))
    const expected = list
      .filter(([type]) => type !== 'N')
      .map(([type, body]) => `${type.charCodeAt(0)}:${Buffer.from(body).toString('hex')}`)
    const taken = collect(split(stream, sizes))
    if (taken.join() !== expected.join()) throw new Error(`${taken} instead of ${expected}`)
  })

  fuzz(
    'of any bytes are read or refused',
    fc.tuple(fc.uint8Array({ maxLength: 200 }), splits),
    ([bytes, sizes]) => {
      collect(split(Buffer.from(bytes), sizes))
    },
    { isRefusal: isViolation },
  )
})

const KINDS = [
  'rows',
  'rows',
  'parse-error',
  'bind-error',
  'error',
  'commit-error',
  'none',
  'suspend',
  'notices',
  'report',
  'deallocate',
] as const

/** Texts that come again, so that statements are found prepared. */
const text = fc
  .tuple(fc.constantFrom(...KINDS), fc.integer({ min: 0, max: 5 }))
  .map(([kind, n]) => `${kind}:t${n}`)

type Step = { texts: string[]; way: 'run' | 'pipeline' | 'simple' | 'turn'; describe: boolean }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    texts: fc.array(text, { minLength: 1, maxLength: 4 }),
    way: fc.constantFrom('run', 'run', 'pipeline', 'simple', 'turn'),
    describe: fc.boolean(),
  }),
  { minLength: 1, maxLength: 12 },
)

/** One change of what the server says, at the message with this number. */
type Mischief = [kind: string, at: number, type: string, body: Uint8Array]

const mischief: fc.Arbitrary<Mischief> = fc.tuple(
  fc.constantFrom('drop', 'repeat', 'insert', 'length', 'cut', 'fatal', 'codeless'),
  fc.integer({ min: 0, max: 60 }),
  fc.constantFrom(...'123CDEGHINSTWZnst?'),
  fc.uint8Array({ maxLength: 8 }),
)

function spoil(sent: Buffer, [kind, , type, body]: Mischief): Buffer[] {
  // An error that follows at once reads as that of the commit where ReadyForQuery is missing.
  if (kind === 'drop') return sent[0] === 'Z'.charCodeAt(0) ? [sent] : []
  if (kind === 'repeat') return [sent, sent]
  if (kind === 'insert') {
    // Between two statements of one text ReadyForQuery would be right: it has a wrong length here.
    const inserted = type === 'Z' ? body.subarray(1, body.length === 2 ? 1 : 8) : body
    return [message(type, Buffer.from(inserted)), sent]
  }
  if (kind === 'fatal') return [message('E', 'SFATAL\0VFATAL\0C57P01\0Mfatal\0\0')]
  if (kind === 'codeless') return [message('E', '\0'), sent]
  if (kind === 'cut') return [sent.subarray(0, Math.max(1, sent.length - 3))]
  // What is thrown away unread is not looked at, and so neither is where it ends.
  if (sent[0] === 'N'.charCodeAt(0)) return [sent]
  const wrong = Buffer.from(sent)
  wrong.writeInt32BE(wrong.readInt32BE(1) + ((body[0] ?? 1) - 128), 1)
  return [wrong]
}

/** A session with a server that answers in pieces, and at one point not as it should. */
function connect(sizes: number[], change: Mischief | undefined): { session: Session; end(): void } {
  const [client, server] = duplexPair()
  let count = 0
  let pieces: Buffer[] = []
  const fake = new FakePostgres((sent) => {
    pieces.push(...(count++ === change?.[1] ? spoil(sent, change) : [sent]))
  })
  server.on('error', () => {})
  server.on('data', (chunk: Buffer) => {
    fake.take(chunk)
    for (const piece of split(Buffer.concat(pieces), sizes)) server.write(piece)
    pieces = []
  })
  return { session: new Session(client, { maxStatements: 3 }), end: () => server.end() }
}

const tokenOf = (text: string) => text.split(':')[1]

/** Another query's token; a field that was cut may hold anything else. */
function isStrange(token: string | undefined, own: (string | undefined)[]): boolean {
  return /^t\d$/.test(token ?? '') && !own.includes(token)
}

/**
 * What one query came to: it may only ever have a row of its own, and the error of its own or, at
 * the commit, of another in its pipeline.
 */
async function check(
  texts: string[],
  pipeline: string[],
  result: Promise<{ rows: (Buffer | null)[][] }[]>,
): Promise<string> {
  const own = texts.map(tokenOf)
  try {
    for (const { rows } of await result) {
      for (const row of rows) {
        if (isStrange(row[0]?.toString(), own)) throw new TypeError(`${row[0]} came to ${texts}`)
      }
    }
    return 'resolved'
  } catch (error) {
    const { code, message } = error as Error & { code?: string }
    if (code === undefined) throw error
    if (isStrange(message, pipeline.map(tokenOf)))
      throw new TypeError(`${message} came to ${texts}`)
    return code
  }
}

async function play(session: Session, list: Step[]): Promise<string[]> {
  const checks: Promise<string>[] = []
  const add = (one: Promise<string>) => {
    one.catch(() => {})
    checks.push(one)
  }
  for (const { texts, way, describe } of list) {
    const statements = texts.map((each) => ({ text: each, values: [], describe }))
    if (way === 'turn') await new Promise((resolve) => setImmediate(resolve))
    else if (way === 'simple') add(check(texts, texts, session.simple(texts.join(';'))))
    else {
      const queries: Query[] =
        way === 'run' ? statements.map((one) => session.run(one)) : session.pipeline(statements)
      for (const [i, { result }] of queries.entries()) {
        const together = way === 'run' ? [texts[i]!] : texts
        checks.push(
          check(
            [texts[i]!],
            together,
            result.then((one) => [one]),
          ),
        )
      }
    }
  }
  return inTime(Promise.all(checks))
}

describe('a session', () => {
  fuzz(
    'gives every answer to its query, however it is split',
    fc.tuple(steps, splits),
    async ([list, sizes]) => {
      const { session, end } = connect(sizes, undefined)
      const codes = await play(session, list)
      if (codes.includes('PROTOCOL_VIOLATION')) throw new Error('It refuses what is right')
      if (session.pending > 0) throw new Error('Something is pending')
      end()
      await inTime(session.close())
    },
    { fewer: 8 },
  )

  fuzz(
    'gives no answer to another query when the server breaks the protocol',
    fc.tuple(steps, splits, mischief),
    async ([list, sizes, change]) => {
      const { session, end } = connect(sizes, change)
      // A server that leaves something out may leave the session waiting, until it goes away.
      setTimeout(end, 20)
      await play(session, list)
      await inTime(session.close())
    },
    { fewer: 4 },
  )
})

describe('a log-in', () => {
  const answers = fc.array(
    fc.oneof(
      fc.constantFrom(
        message('R', '\0\0\0\0'),
        message('R', '\0\0\0\x03'),
        message('R', '\0\0\0\x05salt'),
        message('R', '\0\0\0\x0aSCRAM-SHA-256\0\0'),
        message('R', `\0\0\0\x0br=${'x'.repeat(9000)},s=c2FsdA==,i=4096`),
        message('R', '\0\0\0\x0br=,s=,i=-1'),
        message('R', '\0\0\0\x0cv='),
        message('K', '\0\0\0\x01\0\0'),
        message('K', '\0'),
        message('S', 'TimeZone\0UTC\0'),
        message('S', 'TimeZone'),
        message('E', '\0'),
        message('E', 'SFATAL\0Mno\0\0'),
        message('Z', 'I'),
      ),
      fc
        .tuple(fc.constantFrom(...'REKSNZv'), fc.uint8Array({ maxLength: 20 }))
        .map(([type, body]) => message(type, Buffer.from(body))),
      fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    ),
    { maxLength: 8 },
  )

  fuzz(
    'ends, with a greeting or an error that has a code',
    fc.tuple(answers, splits),
    async ([list, sizes]) => {
      const [client, server] = duplexPair() as [Duplex, Duplex]
      server.resume()
      for (const piece of split(Buffer.concat(list), sizes)) server.write(piece)
      server.end()
      try {
        await inTime(logIn(client, { user: 'u', password: 'p' }, { user: 'u' }))
      } finally {
        client.destroy()
      }
    },
    { fewer: 8, isRefusal: (error) => typeof (error as { code?: unknown }).code === 'string' },
  )
})

describe('the prepared statements of a session', () => {
  const operations = fc.array(
    fc.tuple(
      fc.constantFrom('use', 'use', 'use', 'forget', 'clear'),
      fc.integer({ max: 9, min: 0 }),
    ),
    { maxLength: 60 },
  )

  fuzz(
    'are the ones that were used last, and every other is closed once',
    fc.tuple(operations, fc.integer({ min: 1, max: 5 })),
    ([list, max]) => {
      const statements = new Statements(max)
      let expected: string[] = []
      const open = new Set<string>()
      for (const [what, n] of list) {
        const one = `select ${n}`
        const found = statements.find(one)
        if ((found !== undefined) !== expected.includes(one)) throw new Error(`${one} is wrong`)
        if (found) expected = [...expected.filter((each) => each !== one), one]
        if (what === 'use' && !found) {
          const { name } = statements.add(one)
          if (open.has(name)) throw new Error(`${name} is there twice`)
          open.add(name)
          expected = [...expected, one].slice(-max)
        } else if (what === 'forget' && found) {
          statements.forget(found)
          statements.forget(found)
          expected = expected.filter((each) => each !== one)
        } else if (what === 'clear') {
          statements.clear()
          expected = []
        }
        for (const name of statements.takeClosing()) {
          if (!open.delete(name)) throw new Error(`${name} is closed twice`)
        }
        if (open.size !== expected.length || statements.size !== expected.length) {
          throw new Error(`${open.size} are open instead of ${expected.length}`)
        }
      }
    },
  )
})
