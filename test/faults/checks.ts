import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import type { Begun, Content, Deployed } from './databases.ts'
import type { Reply } from './gateway.ts'
import { IS_OF_DEPLOY } from './locks.ts'
import { stateOf } from './platform.ts'
import type { Kind, World } from './strikes.ts'
import type { Outcome } from './tally.ts'

const LEFTOVER_PATIENCE_MS = 10_000
const ATTEMPTS = 5
const BETWEEN_ATTEMPTS_MS = 200

/** An answer is right, or it is an error that says that PostgreSQL was not there. */
export function outcomeOf(reply: Reply): Outcome {
  if (!reply) return 'cut'
  if (reply.status < 300 && reply.body.error === undefined) return 'right'
  expect(reply.body).toMatchObject({ error: 'connection_failed', message: expect.any(String) })
  expect(reply.status).toBe(reply.isInLines ? 200 : 503)
  return 'error'
}

/** As `outcomeOf`, after a kill: only that of the gateway cuts an answer. */
export function outcomeAfter(kind: Kind, reply: Reply): Outcome {
  const outcome = outcomeOf(reply)
  if (kind !== 'gateway: SIGKILL') expect(outcome).not.toBe('cut')
  return outcome
}

/**
 * The ledger's migrations are those that are there, each once; all functions, the view and the enum
 * are of the version of the last one; every seeder has run once. The enum alone may have the value of
 * the version behind it, since new values are committed ahead of all.
 */
export function expectWhole(database: string, content: Content): void {
  if (!isDeployed(content)) throw new Error(`${database} is ${JSON.stringify(content)}`)
  const { migrations, stages } = content.state
  const expected = stateOf(migrations.length)
  const ahead = stateOf(migrations.length + 1).stages
  const isAhead = isDeepStrictEqual(stages, ahead)
  expect(content.state, database).toEqual(isAhead ? { ...expected, stages: ahead } : expected)
}

/** Each migration that the ledger names has run whole, and no other. */
export function expectWholeMigrations(database: string, { begun }: Begun): void {
  expect(stateOf(begun.migrations.length), database).toMatchObject(begun)
}

/** Whether a deploy to the database was completed. */
export function isDeployed(content: Content): content is Deployed {
  return typeof content !== 'string' && 'state' in content
}

/** The same in everything; the quick comparison first, since it nearly always is. */
export function expectSame(database: string, content: Content, expected: Content): void {
  if (!isDeepStrictEqual(content, expected)) expect(content, database).toEqual(expected)
}

/** The gateway has lived through what was not its own kill, and has logged no bug. */
export function expectAlive({ gateway }: World): void {
  expect(gateway.bugs()).toEqual([])
  expect(gateway.hasEnded, 'the gateway has ended').toBe(false)
}

/**
 * Nothing is left of deploys that were killed: no backend of an earlier gateway, no lock of
 * a deploy, no open transaction. What the gateway counts as its connections is what PostgreSQL has of them.
 */
export async function expectNothingLeft({ gateway, postgres }: World): Promise<void> {
  const look = async () => {
    const [left] = await postgres.query(`
      select
        (select count(*)::integer from pg_locks
          where ${IS_OF_DEPLOY}) as locks,
        (select count(*)::integer from pg_prepared_xacts) as prepared,
        count(*) filter (where application_name <> '${gateway.applicationName}')::integer as strays,
        count(*) filter (where state <> 'idle')::integer as busy,
        count(*) filter (where application_name = '${gateway.applicationName}')::integer as own
      from pg_stat_activity
      where application_name like 'gateway-%'
    `)
    const health = await gateway.get('/health')
    return { ...left, counted: health?.body.total_connections, health: health?.body.status }
  }
  let seen = await look()
  const isClean = () =>
    seen.locks + seen.prepared + seen.strays + seen.busy === 0 &&
    seen.own === seen.counted &&
    seen.health === 'healthy'
  const deadline = performance.now() + LEFTOVER_PATIENCE_MS
  while (!isClean() && performance.now() < deadline) {
    await sleep(20)
    seen = await look()
  }
  expect(seen).toEqual({
    ...{ locks: 0, prepared: 0, strays: 0, busy: 0, health: 'healthy' },
    own: seen.own,
    counted: seen.own,
  })
}

/** Does it again until it is done. */
export async function repeat(attempt: () => Promise<boolean>): Promise<void> {
  for (let attempts = 0; attempts < ATTEMPTS; attempts++) {
    if (await attempt()) return
    await sleep(BETWEEN_ATTEMPTS_MS)
  }
  throw new Error(`Not done with ${ATTEMPTS} attempts`)
}

/** Says with an error in which round it came. */
export async function during<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Error) error.message = `${what}: ${error.message}`
    throw error
  }
}
