import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../lib/call/draw.ts'
import { PLATFORM } from './platform.ts'
import type { SoakServer } from './servers.ts'
import type { Answer, Tally } from './tally.ts'

/** What all that goes on at once knows. */
export interface World {
  gatewayUrl: string
  tally: Tally
  random: Random
  /** The PostgreSQL servers, `main` first. */
  servers: SoakServer[]
  /** Those that have the functions. */
  tenants: string[]
  /** The release that every tenant has at least, and the newest that one may have. */
  release: { deployed: number; begun: number }
  writes: Writes
  /** Answers of functions that only read, and how many of them a replica gave. */
  reads: { answered: number; byReplica: number }
  /** All of it ends then. */
  signal: AbortSignal
}

/** Keys that were sent to be written: exactly once where that was answered, else at most once. */
export interface Writes {
  sent: number
  /** By tenant. */
  answered: Map<string, Set<string>>
}

const LONGEST_PAUSE_MS = 20
const CLIENT_PATIENCE_MS = 60_000

/** Sends a request; the answer as a text. */
export async function send(
  url: string,
  init: RequestInit,
  signal = AbortSignal.timeout(CLIENT_PATIENCE_MS),
): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', ...init, signal })
  const { status, headers } = response
  return { status, text: await response.text(), retryAfter: headers.get('retry-after') }
}

/** One client: calls one thing after the other until the end. */
export async function keepCalling(world: World): Promise<void> {
  while (!world.signal.aborted) {
    await callSomething(world)
    await sleep(world.random(LONGEST_PAUSE_MS))
  }
}

async function callSomething(world: World): Promise<void> {
  const { random, tenants } = world
  const tenant = tenants[random(tenants.length)]!
  const chance = random(100)
  if (chance < 50) return read(world, tenant)
  if (chance < 80) return write(world, tenant)
  if (chance < 88) return readVersion(world, tenant)
  if (chance < 91) return readMuch(world, tenant)
  if (chance < 94) return refuse(world, tenant)
  if (chance < 96) return nap(world, tenant)
  if (chance < 98) return runOutOfTime(world, tenant)
  return goAway(world, tenant)
}

async function read(world: World, tenant: string): Promise<void> {
  const id = world.random(1_000_000)
  const rows = `{"rows":[{"id":${id},"name":"Item ${id}","price":12345678901234567890.0123456789,`
  const answer = await call(
    world,
    'call read',
    tenant,
    { function: 'read', params: [id] },
    ({ status, text }) => (status === 200 && text.startsWith(rows) ? undefined : 'not that row'),
  )
  if (!answer) return
  world.reads.answered++
  if (answer.text.includes('"by_replica":true')) world.reads.byReplica++
}

async function write(world: World, tenant: string): Promise<void> {
  const { writes } = world
  const key = `k${writes.sent++}`
  const answer = await call(
    world,
    'call write',
    tenant,
    { function: 'write', params: { p_key: key } },
    ({ status, text }) =>
      status === 200 && text.startsWith(`{"rows":[{"write":"${key}"}]`) ? undefined : 'not its key',
  )
  if (!answer) return
  const keys = writes.answered.get(tenant) ?? new Set()
  writes.answered.set(tenant, keys.add(key))
}

async function readVersion(world: World, tenant: string): Promise<void> {
  const { deployed } = world.release
  await call(world, 'call version', tenant, { function: 'version_of_schema' }, (answer) => {
    const version = Number(/"version_of_schema":(\d+)/.exec(answer.text)?.[1])
    const isRight = version >= deployed && version <= world.release.begun
    return answer.status === 200 && isRight ? undefined : `not from ${deployed} on`
  })
}

async function readMuch(world: World, tenant: string): Promise<void> {
  const rows = 100 + world.random(400)
  await call(world, 'call big', tenant, { function: 'big', params: [rows] }, ({ status, text }) =>
    status === 200 && JSON.parse(text).rows.length === rows ? undefined : `not ${rows} rows`,
  )
}

async function refuse(world: World, tenant: string): Promise<void> {
  await call(world, 'call refused', tenant, { function: 'refuse' }, ({ status, text }) =>
    status === 400 && text.includes('not today') ? undefined : 'not its error',
  )
}

async function nap(world: World, tenant: string): Promise<void> {
  await call(world, 'call slow', tenant, { function: 'nap', params: [0.3] }, ({ status, text }) =>
    status === 200 && text.includes('slept') ? undefined : 'did not sleep',
  )
}

async function runOutOfTime(world: World, tenant: string): Promise<void> {
  const body = { function: 'nap', params: [5], timeout_ms: 100 }
  await call(world, 'call timed out', tenant, body, ({ status }) =>
    status === 504 ? undefined : 'not 504',
  )
}

/** A client that does not wait for its answer. */
async function goAway(world: World, tenant: string): Promise<void> {
  const patience = AbortSignal.timeout(5 + world.random(50))
  const body = { function: 'nap', params: [1] }
  const gone: Answer = { status: 499, text: '', retryAfter: null }
  await world.tally.request(
    'call, client gone',
    () => post(world, tenant, body, patience).catch(() => gone),
    ({ status }) => (status === gone.status ? undefined : 'answered already'),
  )
}

function call(
  world: World,
  kind: string,
  tenant: string,
  body: object,
  check: (answer: Answer) => string | undefined,
): Promise<Answer | undefined> {
  return world.tally.request(kind, () => post(world, tenant, body), check)
}

function post(
  { gatewayUrl }: World,
  tenant: string,
  body: object,
  patience?: AbortSignal,
): Promise<Answer> {
  const init = {
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform: PLATFORM, tenant_id: tenant, ...body }),
  }
  return send(`${gatewayUrl}/call`, init, patience)
}
