import type { Json } from '../../helpers/gateway.ts'
import { Random } from '../random.ts'
import type { Book } from './book.ts'
import { Client, type Reply } from './client.ts'
import { judge } from './judge.ts'
import { type Call, callOf, type Kind } from './kinds.ts'
import { KINDS } from './platform.ts'

/** What an answer may take beyond the time that the function may. */
const GRACE_MS = 10_000

const DRAWN = KINDS.flatMap((kind) => Array<Kind>(kind.weight).fill(kind))
/** In a transaction one call finds what those before it have left, and waits for the slow ones. */
const APART = DRAWN.filter(({ isSlow, isProcedure }) => !isSlow && !isProcedure)
const TOGETHER = APART.filter(({ leaves, name }) => !leaves && name !== 'look')

export interface LoadOptions {
  url: string
  platform: string
  /** Tenants, by the names of their databases; null is the main one. */
  databases: Map<string, string | null>
  book: Book
  seed: number
  statementTimeoutMs: number
  /** The share of calls whose clients go away. */
  leaving: number
  isOver(): boolean
}

/** Calls without a pause, one after the other. `index` is the client's. */
export async function runClient(options: LoadOptions, index: number): Promise<void> {
  const random = new Random(options.seed * 1000 + index)
  const client = new Client(options.url)
  const names = [...options.databases.keys()]
  for (let n = 0; !options.isOver(); n++) {
    const token = `c${index}-${n}`
    const database = random.pick(names)
    const leaveAfterMs = random.chance(options.leaving) ? random.below(15) : undefined
    const kind = random.below(20)
    const send = kind === 0 ? sendBatch : kind === 1 ? sendTransaction : sendCall
    await send({ ...options, client, random, token, database, leaveAfterMs })
  }
  client.close()
}

interface Turn extends LoadOptions {
  client: Client
  random: Random
  token: string
  database: string
  leaveAfterMs: number | undefined
}

async function sendCall(turn: Turn): Promise<void> {
  const { client, random, token, leaveAfterMs } = turn
  const call = callOf(random.pick(DRAWN), token, random)
  const limitMs = limitOf(turn, call.timeoutMs)
  const reply =
    call.query && random.chance(0.5)
      ? await client.send({ method: 'GET', path: pathOf(turn, call), limitMs, leaveAfterMs })
      : await post(turn, '/call', { ...bodyOf(call), timeout_ms: call.timeoutMs }, limitMs)
  note(turn, reply)
  enter(turn, call, reply, { status: reply.status, ...reply.body })
}

/** A batch in which each call is by itself. */
async function sendBatch(turn: Turn): Promise<void> {
  const calls = drawCalls(turn, APART)
  const reply = await post(turn, '/batch', { calls: calls.map(bodyOf) }, batchLimit(turn, calls))
  note(turn, reply)
  const { results, ...whole } = reply.body ?? {}
  calls.forEach((call, i) => {
    const place = results?.[i] ?? whole
    const status = results ? (place.status ?? 200) : reply.status
    enter(turn, call, reply, { ...place, status })
  })
}

/** A batch that is all or nothing. */
async function sendTransaction(turn: Turn): Promise<void> {
  const calls = drawCalls(turn, TOGETHER)
  const body = { transaction: true, calls: calls.map(bodyOf) }
  const reply = await post(turn, '/batch', body, batchLimit(turn, calls))
  note(turn, reply)
  const { results, ...error } = reply.body ?? {}
  const failed = calls[error.call]
  calls.forEach((call, i) => {
    const answer = results?.[i]
      ? { ...results[i], status: 200 }
      : { ...error, status: reply.status }
    // Those before and behind the one that failed have come to nothing with it.
    const isOther = reply.end === 'answered' && failed !== undefined && failed !== call
    if (isOther) turn.book.enter(turn.database, call, 'undone', { end: 'rolled back' })
    else enter(turn, call, reply, answer)
  })
}

function enter(turn: Turn, call: Call, { end, ms, body }: Reply, answer: Json): void {
  const { book, database, statementTimeoutMs } = turn
  if (end === 'answered') {
    const isDeploying = book.deployedAt >= performance.now() - ms
    const outcome = judge(call, answer, { ms, isDeploying, statementTimeoutMs })
    book.enter(database, call, outcome, { end, ms, ...answer })
  } else {
    const outcome = end === 'left' ? 'unknown' : 'wrong'
    book.enter(database, call, outcome, { end, ms, body })
  }
}

function drawCalls({ random, token }: Turn, from: Kind[]): Call[] {
  return Array.from({ length: 1 + random.below(4) }, (_, i) => {
    const call = callOf(random.pick(from), `${token}.${i}`, random)
    // Settings and time are the batch's, not the call's.
    return call.session ? callOf(KINDS[0]!, call.token, random) : { ...call, timeoutMs: undefined }
  })
}

function bodyOf({ kind, params, session }: Call): Json {
  return { function: kind.name, params, session }
}

function pathOf({ platform, databases, database }: Turn, { kind, query }: Call): string {
  const tenant = databases.get(database)
  const place = tenant ? `${platform}/${tenant}` : platform
  return `/call/${place}/${kind.name}?${new URLSearchParams(query)}`
}

function post(turn: Turn, path: string, body: Json, limitMs: number): Promise<Reply> {
  const { client, platform, databases, database, leaveAfterMs } = turn
  const whole = { platform, tenant_id: databases.get(database), ...body }
  return client.send({
    method: 'POST',
    path,
    body: JSON.stringify(whole),
    limitMs,
    ...(leaveAfterMs !== undefined && { leaveAfterMs }),
  })
}

function limitOf({ statementTimeoutMs }: Turn, timeoutMs = statementTimeoutMs): number {
  return Math.min(timeoutMs, statementTimeoutMs) + GRACE_MS
}

function batchLimit(turn: Turn, calls: Call[]): number {
  return calls.length * turn.statementTimeoutMs + GRACE_MS
}

function note({ book }: Turn, { ms }: Reply): void {
  book.longestMs = Math.max(book.longestMs, ms)
}
