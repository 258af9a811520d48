import type postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Client } from '../../../../lib/postgres/pools/pools.ts'
import {
  addEntry,
  createCatalog,
  type NamedEntry,
  readEntries,
} from '../../../../lib/tenancy/catalog/catalog-table.ts'
import {
  type LookupLimits,
  type LookupOptions,
  OwnerLookups,
} from '../../../../lib/tenancy/catalog/owner-lookups.ts'
import { connectTo, queryDatabase, uniqueName } from '../../../helpers/gateway.ts'

const LIMITS: LookupLimits = { maxWaiting: 50, waitMs: 10_000 }
const nameOf = ({ database }: NamedEntry) => database
const name = uniqueName('lookups')
let sql: postgres.Sql

beforeAll(async () => {
  await queryDatabase('postgres', `create database ${name}`, { asGateway: true })
  sql = connectTo(name, 8)
  const session = await sql.reserve()
  await createCatalog(session)
  session.release()
})
afterAll(async () => {
  await sql?.end()
  await queryDatabase('postgres', `drop database ${name}`, { asGateway: true })
})

/** The names of each query that was sent. */
let queries: string[][] = []
beforeEach(() => {
  queries = []
})

function newLookups(limits: Partial<LookupLimits> = {}): OwnerLookups<NamedEntry> {
  const read = (names: string[]) => {
    queries.push(names)
    return readEntries(sql, names)
  }
  return new OwnerLookups(read, nameOf, { ...LIMITS, ...limits })
}

/** Holds all look-ups up while `work` runs. */
async function whileLocked(work: () => Promise<unknown>): Promise<void> {
  const lock = await sql.reserve()
  try {
    await lock`begin`
    await lock`lock table _db_gateway_databases in access exclusive mode`
    await work()
  } finally {
    await lock`rollback`
    lock.release()
  }
}

const client = (): Client => ({ isGone: false, onGone: undefined })
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'found',
    (error) => error.code,
  )
const soon = (ms = 50) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a name', () => {
  test('that many ask for at once is one query, and none while it is remembered', async () => {
    await addEntry(sql, { platform: 'shop', tenantId: null, schema: null }, null)
    const lookups = newLookups()
    const found = await Promise.all(Array.from({ length: 500 }, () => lookups.find('shop_main')))
    expect(new Set(found).size).toBe(1)
    expect(found[0]).toEqual({
      database: 'shop_main',
      platform: 'shop',
      tenantId: null,
      schema: null,
      role: null,
      storedSchemas: [],
      suspension: null,
      hold: null,
      limits: null,
      isSpelledFreely: false,
      movedTo: null,
      hiddenAs: null,
    })
    expect(await lookups.find('shop_main')).toBe(found[0])
    expect(await lookups.find('shop_main', { anew: true })).toEqual(found[0])
    expect(queries).toEqual([['shop_main'], ['shop_main']])
  })

  test('that is not there is remembered too, until it is forgotten', async () => {
    const lookups = newLookups()
    for (let i = 0; i < 3; i++) expect(await lookups.find('later_main')).toBeUndefined()
    expect(queries).toHaveLength(1)
    await addEntry(sql, { platform: 'later', tenantId: null, schema: null }, null)
    lookups.forget('others_main')
    expect(await lookups.find('later_main')).toBeUndefined()
    lookups.forget('later_main')
    expect(await lookups.find('later_main')).toMatchObject({ platform: 'later' })
  })

  test('that is forgotten while it is read is not remembered', async () => {
    const lookups = newLookups()
    let early: Promise<unknown> = Promise.resolve()
    let late: Promise<unknown> = Promise.resolve()
    await whileLocked(async () => {
      early = lookups.find('created_main')
      lookups.forget('created_main')
      // It does not share the answer of what was asked before.
      late = lookups.find('created_main')
      await soon()
    })
    await Promise.all([early, late])
    expect(queries).toHaveLength(2)
    await lookups.find('created_main')
    expect(queries).toHaveLength(2)
  })

  test('that is not there is not remembered while changes are not heard of', async () => {
    const lookups = newLookups()
    await lookups.find('silent_main')
    lookups.stopRememberingAbsence()
    for (let i = 0; i < 2; i++) await lookups.find('silent_main')
    expect(queries).toHaveLength(3)
    lookups.forgetAll()
    for (let i = 0; i < 2; i++) await lookups.find('silent_main')
    expect(queries).toHaveLength(4)
  })
})

describe('many names', () => {
  test('are few queries, of which two are under way at once', async () => {
    const lookups = newLookups({ maxWaiting: 1000 })
    const names = Array.from({ length: 1000 }, (_, i) => `invented_${i}`)
    await Promise.all(names.map((one) => lookups.find(one, { client: client() })))
    expect(queries.map(({ length }) => length)).toEqual([1, 1, 998])
  })

  test('beyond the limit are refused at once; the gateway’s own look-ups are not', async () => {
    const lookups = newLookups({ maxWaiting: 3 })
    let all: Promise<unknown[]> = Promise.resolve([])
    await whileLocked(async () => {
      const find = (one: string, options: LookupOptions) => code(lookups.find(one, options))
      const names = Array.from({ length: 7 }, (_, i) => `many_${i}`)
      all = Promise.all([
        ...names.map((one) => find(one, { client: client() })),
        find('many_own', {}),
        // Of one name, too.
        ...Array.from({ length: 3 }, () => find('many_0', { client: client() })),
      ])
      await soon()
      expect(queries).toEqual([['many_0'], ['many_1']])
    })
    expect(await all).toEqual([
      ...['found', 'found', 'found', 'found', 'found', 'pool_exhausted', 'pool_exhausted'],
      'found',
      ...['found', 'found', 'pool_exhausted'],
    ])
  })

  test('more than 10,000 are not remembered', async () => {
    const lookups = newLookups()
    await lookups.find('many_0')
    const names = Array.from({ length: 10_000 }, (_, i) => `many_${i + 1}`)
    await Promise.all(names.map((one) => lookups.find(one)))
    queries = []
    await lookups.find('many_1')
    expect(queries).toEqual([])
    await lookups.find('many_0')
    expect(queries).toEqual([['many_0']])
  })
})

describe('one that waits', () => {
  test('leaves with its client, and is not asked for any more', async () => {
    const lookups = newLookups()
    const [first, second, third] = [client(), client(), client()]
    let all: Promise<unknown[]> = Promise.resolve([])
    await whileLocked(async () => {
      all = Promise.all([
        code(lookups.find('gone_0', { client: first })),
        code(lookups.find('gone_1', { client: second })),
        code(lookups.find('gone_2', { client: third })),
      ])
      first.onGone?.()
      third.onGone?.()
      await soon()
    })
    expect(await all).toEqual(['pool_exhausted', 'found', 'pool_exhausted'])
    expect(queries).toEqual([['gone_0'], ['gone_1']])
    expect([first.onGone, second.onGone, third.onGone]).toEqual([undefined, undefined, undefined])
  })

  test('gives up after waitMs, or at the deadline of its call', async () => {
    const lookups = newLookups({ waitMs: 200 })
    await whileLocked(async () => {
      const limited = lookups.find('slow_main', { deadline: performance.now() + 50 })
      expect(await code(limited)).toBe('query_timeout')
      expect(await code(lookups.find('slow_main'))).toBe('pool_exhausted')
    })
    expect(await code(lookups.find('slow_main'))).toBe('found')
  })

  test('is told what PostgreSQL says, and the next one asks anew', async () => {
    let isBroken = true
    const lookups = new OwnerLookups(
      async (names) => (isBroken ? sql`select 1/0` : readEntries(sql, names)) as never,
      nameOf,
      LIMITS,
    )
    expect(await code(lookups.find('broken_main'))).toBe('22012')
    isBroken = false
    expect(await lookups.find('broken_main')).toBeUndefined()
  })
})
