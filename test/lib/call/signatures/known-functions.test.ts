import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  KnownFunctions,
  type KnownFunctionsParts,
} from '../../../../lib/call/signatures/known-functions.ts'
import type { Signature } from '../../../../lib/call/signatures/signature.ts'
import { SCHEMA_VERSION } from '../../../../lib/call/signatures/version.ts'
import type { GatewayError } from '../../../../lib/errors.ts'
import type { Client } from '../../../../lib/postgres/pools/pools.ts'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../../helpers/gateway.ts'
import { pack } from '../../../helpers/platforms.ts'

const platform = uniqueName('known')
const database = `${platform}_main`
const tenant = `${platform}_one`
let gateway: TestGateway

const FILES = {
  'migrations/001_item.pssql': 'create table item (id serial primary key, name text)',
  'functions/get_item.pssql': `
    create or replace function get_item(p_id int) returns setof item language sql
      as $$ select * from item where id = p_id $$`,
  'functions/add_item.pssql': `
    create or replace function add_item(p_name text default 'x') returns int language sql
      as $$ insert into item (name) values (p_name) returning id $$`,
  'functions/over.pssql': `
    create or replace function over(p int) returns int language sql as 'select p';
    create or replace function over(p text) returns text language sql as 'select p'`,
}

beforeAll(async () => {
  gateway = await startTestGateway({})
  const archive = await pack(FILES)
  expect((await gateway.register(platform, archive)).body).toMatchObject({ status: 'ready' })
  expect((await gateway.register(platform, archive, 'one')).body).toMatchObject({ status: 'ready' })
})
afterAll(() => gateway.stop())

/** Work that the functions asked for, in databases and in the administrative one. */
const asked = { databases: 0, administrative: 0 }
beforeEach(() => {
  asked.databases = asked.administrative = 0
})

/** `load` does not wait until the state of a database is written; the test after it has to. */
const administering = new Set<Promise<unknown>>()
afterEach(async () => {
  await Promise.allSettled(administering)
  administering.clear()
})

/** As in a gateway that was just started. */
function restarted(parts: Partial<KnownFunctionsParts> = {}): KnownFunctions {
  const { pools, catalog } = gateway.gateway
  const administer = parts.administer ?? ((work) => catalog.use(work))
  return new KnownFunctions({
    use: (name, work) => {
      asked.databases++
      return pools.use(name, work)
    },
    ...parts,
    administer: (work) => {
      asked.administrative++
      const administered = administer(work)
      administering.add(administered)
      return administered
    },
  })
}

const define = (sql: string, name = database) => queryDatabase(name, sql)
const nobody: Client = { isGone: false, onGone: undefined }

describe('a gateway that was started again', () => {
  test('knows the functions of a database without asking it', async () => {
    const functions = restarted()
    expect(functions.peek(database, 'get_item')).toBeUndefined()
    await functions.load(database)
    expect(functions.peek(database, 'get_item')).toMatchObject([
      {
        kind: 'function',
        schema: 'public',
        language: 'sql',
        volatility: 'volatile',
        arguments: [{ name: 'p_id', type: 'integer', category: 'N', kind: 'scalar' }],
        relation: 'public.item',
        identity: 'public.get_item(integer)',
        text: 'get_item(p_id integer)',
        verdict: {
          reads: true,
          handles: false,
          afterwards: 'keep',
          altersFormats: false,
          commits: false,
        },
      },
    ])
    expect(functions.peek(database, 'add_item')).toMatchObject([
      { text: "add_item(p_name text DEFAULT 'x'::text)", defaults: 1, verdict: { reads: false } },
    ])
    expect(functions.peek(database, 'over')).toHaveLength(2)
    expect(functions.peek(database, 'no_such')).toEqual([])
    expect(asked).toEqual({ databases: 0, administrative: 2 })
    expect(functions.isDue(database)).toBe(true)
  })

  test('has one schema for all databases that have it', async () => {
    const functions = restarted()
    await functions.load(database)
    await functions.load(tenant)
    expect(functions.schemaOf(tenant)).toBe(functions.schemaOf(database))
    expect(asked).toEqual({ databases: 0, administrative: 3 })
  })

  test('compares the version that is stored', async () => {
    const functions = restarted()
    await functions.load(database)
    const [row] = await define(SCHEMA_VERSION)
    expect(functions.check(database, row.version)).toBe(true)
    expect(functions.isDue(database)).toBe(false)
    expect(functions.check(database, 'another')).toBe(false)
    expect(functions.peek(database, 'get_item')).toBeUndefined()
  })

  test('reads a database that is not written down, and writes it down', async () => {
    const { catalog } = gateway.gateway
    await catalog.use(
      (sql) =>
        sql`update _db_gateway_databases set functions_digest = null where database = ${tenant}`,
    )
    const functions = restarted()
    await functions.load(tenant)
    expect(asked.databases).toBe(1)
    expect(functions.isDue(tenant)).toBe(false)
    await expect
      .poll(async () => {
        const [row] = await catalog.use(
          (sql) =>
            sql`select functions_digest as digest from _db_gateway_databases where database = ${tenant}`,
        )
        return row!.digest
      })
      .toBe(functions.schemaOf(tenant)!.digest)
  })

  test('does not take what another CALLABLE_SCHEMAS made', async () => {
    const functions = restarted({ callableSchemas: () => ['pg_catalog'] })
    await functions.load(database)
    expect(asked.databases).toBe(1)
    expect(functions.peek(database, 'get_item')).toEqual([])
    expect(functions.peek(database, 'version')).toMatchObject([{ verdict: { reads: true } }])
    expect(functions.peek(database, 'set_config')).toMatchObject([
      { verdict: { reads: false, afterwards: 'reset', altersFormats: true } },
    ])
  })
})

test('many that ask at once share one flight', async () => {
  const functions = restarted()
  await Promise.all(Array.from({ length: 50 }, () => functions.get(database, 'get_item')))
  expect(asked).toEqual({ databases: 0, administrative: 2 })
})

describe('a name that does not exist', () => {
  test('is answered from what is known, with names that are near', async () => {
    const functions = restarted()
    const error = await functions.get(database, 'get_items').catch((e: GatewayError) => e)
    expect(error).toMatchObject({
      code: 'function_not_found',
      message: 'There is no function get_items; did you mean get_item?',
    })
    asked.databases = 0
    const names = Array.from({ length: 200 }, (_, i) => `invented_${i}`)
    await Promise.allSettled(names.map((name) => functions.get(database, name)))
    expect(asked.databases).toBeLessThan(10)
  })

  test('is found as soon as it was made by hand', async () => {
    const functions = restarted()
    await expect(functions.get(database, 'by_hand')).rejects.toThrow('no function by_hand')
    await define("create function by_hand() returns int language sql as 'select 1'")
    expect(await functions.get(database, 'by_hand')).toMatchObject([{ name: 'by_hand' }])
    await define('drop function by_hand')
  })
})

test('a change is found while an older state is still written down', async () => {
  const { catalog } = gateway.gateway
  const [before] = await catalog.use(
    (sql) => sql`
      select functions_digest as digest, functions_version as version
      from _db_gateway_databases where database = ${database}`,
  )
  const functions = restarted()
  await functions.load(database)
  for (const name of ['first_by_hand', 'second_by_hand']) {
    await define(`create function ${name}() returns int language sql as 'select 1'`)
    expect(await functions.get(database, name)).toMatchObject([{ name }])
    // As long as what was read has not reached the catalog, or where that failed.
    await Promise.all(administering)
    await catalog.use(
      (sql) => sql`
        update _db_gateway_databases
        set functions_digest = ${before!.digest}, functions_version = ${before!.version}
        where database = ${database}`,
    )
  }
  await define('drop function first_by_hand, second_by_hand')
})

describe('a call that does not fit', () => {
  test('has the version compared once a second, and no schema read (B8)', async () => {
    const functions = restarted()
    await functions.load(database)
    functions.check(database, (await define(SCHEMA_VERSION))[0].version)
    await functions.load(database)
    asked.databases = 0
    for (let i = 0; i < 50; i++) expect(await functions.stale(database, 'get_item')).toBe(false)
    expect(asked.databases).toBe(1)
  })

  test('is run again where what it was made from has been forgotten meanwhile', async () => {
    const functions = restarted()
    await functions.get(database, 'get_item')
    // By a notification of a deploy, between the call and PostgreSQL's word on it.
    functions.forget(database)
    expect(await functions.stale(database, 'get_item')).toBe(true)
    expect(functions.peek(database, 'get_item')).toHaveLength(1)
  })

  test('has the schema read where it is another one', async () => {
    const functions = restarted()
    const held = await functions.get(database, 'over')
    await define("create function over(p int, q int) returns int language sql as 'select 1'")
    expect(await functions.stale(database, 'over', held)).toBe(true)
    expect(functions.peek(database, 'over')).toHaveLength(3)
    // Others that hold what was known before are told at once.
    expect(await functions.stale(database, 'over', held)).toBe(true)
    expect(await functions.stale(database, 'over', functions.peek(database, 'over'))).toBe(false)
    await define('drop function over(int, int)')
    await sleep(1000)
    expect(await functions.stale(database, 'over')).toBe(true)
  })
})

describe('what changes while it is read', () => {
  /** How often the administrative database was asked by what `interrupted` gave. */
  let answers = 0
  /** Runs `meanwhile` when the administrative database has answered the first time. */
  function interrupted(meanwhile: (functions: KnownFunctions) => void): KnownFunctions {
    answers = 0
    const functions: KnownFunctions = restarted({
      administer: async (work) => {
        const result = await gateway.gateway.catalog.use(work)
        answers++
        if (answers === 1) meanwhile(functions)
        return result
      },
    })
    return functions
  }

  test('is read again', async () => {
    const functions = interrupted((those) => those.forget(database))
    await functions.load(database)
    expect(functions.peek(database, 'get_item')).toHaveLength(1)
    expect(answers).toBe(3)
  })

  test('in other databases does not matter (B9)', async () => {
    const functions = interrupted((those) => those.forget(tenant))
    await functions.load(database)
    expect(functions.peek(database, 'get_item')).toHaveLength(1)
    expect(answers).toBe(2)
  })

  test('all the time is known all the same, and compared with the next call', async () => {
    const functions: KnownFunctions = restarted({
      administer: async (work) => {
        const result = await gateway.gateway.catalog.use(work)
        functions.forgetAll()
        return result
      },
    })
    await functions.load(database)
    expect(functions.isDue(database)).toBe(true)
  })
})

test('a client that has gone does not fail others', async () => {
  await gateway.gateway.catalog.use(
    (sql) =>
      sql`update _db_gateway_databases set functions_digest = null where database = ${database}`,
  )
  const gone: Client = { isGone: false, onGone: undefined }
  const functions = restarted()
  const asking = [
    functions.get(database, 'get_item', { client: gone }),
    functions.get(database, 'get_item', { client: nobody }),
  ]
  gone.onGone?.()
  const answers = await Promise.allSettled(asking)
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'fulfilled'])
})

test('a deploy writes down what the database has then', async () => {
  const own = uniqueName('deploys')
  await gateway.register(own, await pack(FILES))
  const state = async () => {
    const [row] = await gateway.gateway.catalog.use(
      (sql) => sql`
        select functions_digest as digest, functions_version as version
        from _db_gateway_databases where database = ${`${own}_main`}`,
    )
    return row!
  }
  const before = await state()
  const more = {
    'functions/more.pssql': "create function more() returns int language sql as 'select 1'",
  }
  await gateway.migrate(own, await pack({ ...FILES, ...more }))
  const after = await state()
  expect(after.digest).not.toBe(before.digest)
  expect(after.version).toBe((await define(SCHEMA_VERSION, `${own}_main`))[0].version)
  const functions = restarted()
  expect(await functions.get(`${own}_main`, 'more')).toHaveLength(1)
  expect(asked.databases).toBe(0)
  // The function that is the same is the same object, though its schema is another one.
  const old = await functions.get(database, 'get_item')
  const held: Signature[] = await functions.get(`${own}_main`, 'get_item')
  expect(held).toBe(old)
})

test('schemas that no database has any more are removed', async () => {
  const { catalog } = gateway.gateway
  const count = async () => {
    const [row] = await catalog.use(
      (sql) =>
        sql`select count(*)::int as n from _db_gateway_function_schemas where digest = 'old'`,
    )
    return row!.n
  }
  await catalog.use(
    (sql) => sql`
      insert into _db_gateway_function_schemas (digest, format_version, functions, created_at)
      values ('old', 1, '', now() - interval '2 hours')`,
  )
  expect(await count()).toBe(1)
  await define("create function anew() returns int language sql as 'select 1'")
  await gateway.gateway.calls.functions.get(database, 'anew')
  await expect.poll(count).toBe(0)
})
