import type { Sql } from 'postgres'
import { describe, expect, test } from 'vitest'
import { findTools } from '../helpers/dumps.ts'
import { connectTo, type Json, startTestGateway, TEST_SECRET } from '../helpers/gateway.ts'
import type { AlikeServer } from '../helpers/major-servers.ts'
import { type GatewayProcess, startProcess } from '../helpers/process.ts'
import {
  dropFormer,
  moveInSteps,
  replicate,
  replicatedWorld,
  tracesOf,
} from '../helpers/replicated-moves.ts'

// Moves by logical replication in which the gateway, or one of the servers, is killed in each phase, under
// a load of calls. PG_MAJOR=15 has pg_dump and pg_restore of Debian 12.

const hasTools = (await findTools()) !== undefined

const world = replicatedWorld(
  {
    'tables/t.pssql': `create table t (id serial primary key, by text not null);
      create table big (id integer primary key, noise text not null);`,
    'functions/put.pssql': `create or replace function put(p_by text) returns integer language sql
      as $$ insert into t (by) values (p_by) returning id $$`,
    'functions/slow.pssql': `create or replace function slow(p_by text) returns integer language sql
      as $$ select pg_advisory_xact_lock(1); insert into t (by) values (p_by) returning id $$`,
  },
  {},
  // A server that is started again takes a moment.
  { POOL_WAIT_TIMEOUT_SECS: '20' },
)

const servers = () => ({ main: world.main, eu1: world.eu1 })

/** A call that lasts until the session ends. */
async function holdCall(): Promise<Sql> {
  const sql = connectTo(world.name, 1, world.main.uri)
  await sql`select pg_advisory_lock(1)`
  return sql
}

/** A session that has made this, and stays in its transaction. */
async function holdOpen(server: AlikeServer, database: string, text: string): Promise<Sql> {
  const sql = connectTo(database, 1, server.uri)
  await sql.unsafe(`begin; ${text}`)
  return sql
}

const waitsForLock = async (server: AlikeServer) =>
  (await server.query("select from pg_stat_activity where wait_event_type = 'Lock'")).length > 0

const movesLeft = () => world.main.query('select phase from _db_gateway_moves')

/** A moment of a move: what keeps it there, and how the test knows that it is there. */
interface Phase {
  /** Step of the move at which `isThere` is asked. */
  step: string
  /** Begins before the move, or at its step `holding`. */
  hold?: (at: 'before' | 'holding') => Promise<Sql | undefined>
  isThere?: () => Promise<boolean>
  isMoved: boolean
}

const catalogOf = (server: AlikeServer, text: string) => holdOpen(server, 'gateway', text)

const isMovedInCatalog = async () => (await movesLeft()).some(({ phase }) => phase === 'moved')

/** In the order in which a move has them. */
const PHASES: Record<string, Phase> = {
  'the slot is being made': {
    step: 'waiting',
    hold: async (at) =>
      at === 'before' ? catalogOf(world.main, 'select pg_current_xact_id()') : undefined,
    isMoved: false,
  },
  'the schema is being copied': {
    step: 'copying',
    // pg_restore has made a table.
    isThere: async () => {
      const query = world.eu1.query("select to_regclass('t') is not null as has", world.name)
      return query.then(
        ([row]) => row!.has,
        () => false,
      )
    },
    isMoved: false,
  },
  'the tables are being copied': { step: 'following', isMoved: false },
  'the copy follows': {
    step: 'waiting',
    hold: async (at) => (at === 'before' ? holdCall() : undefined),
    isMoved: false,
  },
  'calls are held': {
    step: 'holding',
    hold: async (at) => (at === 'before' ? holdCall() : undefined),
    isMoved: false,
  },
  'the source has its other name': {
    step: 'comparing',
    hold: async (at) =>
      at === 'holding'
        ? catalogOf(world.eu1, 'lock table _db_gateway_databases in share mode')
        : undefined,
    isThere: () => waitsForLock(world.eu1),
    isMoved: false,
  },
  'the catalog has been changed': {
    step: 'comparing',
    hold: async (at) =>
      at === 'before'
        ? catalogOf(world.main, 'lock table _db_gateway_moved in share mode')
        : undefined,
    isThere: isMovedInCatalog,
    isMoved: true,
  },
  'the source has been left': {
    step: 'comparing',
    hold: async (at) =>
      at === 'holding'
        ? catalogOf(
            world.main,
            `select from _db_gateway_moves where database = '${world.name}' for key share`,
          )
        : undefined,
    isThere: async () => (await isMovedInCatalog()) && (await waitsForLock(world.main)),
    isMoved: true,
  },
}

const call = (url: string, name: string, by: string) =>
  fetch(`${url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...world.tenant, function: name, params: [by] }),
  })

/** Callers that note what was acknowledged. A call without an answer may have run. */
function startCallers(url: () => string) {
  let isRunning = true
  const acknowledged: string[] = []
  const unknown: string[] = []
  const failed: Json[] = []
  const calls = [0, 1, 2].map(async (number) => {
    for (let i = 0; isRunning; i++) {
      const by = `${number}-${i}-${Date.now()}`
      try {
        const response = await call(url(), 'put', by)
        const body = (await response.json()) as Json
        if (response.status === 200) acknowledged.push(by)
        else if (body.may_have_run || response.status === 503) unknown.push(by)
        else failed.push(body)
        if (response.status !== 200) await new Promise((resolve) => setTimeout(resolve, 50))
      } catch {
        unknown.push(by)
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  })
  return {
    acknowledged,
    unknown,
    failed,
    async stop() {
      isRunning = false
      await Promise.all(calls)
    },
  }
}

type Callers = ReturnType<typeof startCallers>

/** Checks that what was acknowledged is there once, and nothing that was not called. */
async function checkRows(server: AlikeServer, { acknowledged, unknown, failed }: Callers) {
  expect(failed).toEqual([])
  const rows = await server.query(
    `select by, count(*)::integer as n from t group by by`,
    world.name,
  )
  expect(rows.filter(({ n }) => n !== 1)).toEqual([])
  const there = new Set(rows.map(({ by }) => by as string))
  expect(acknowledged.filter((by) => !there.has(by))).toEqual([])
  const called = new Set([...acknowledged, ...unknown])
  expect([...there].filter((by) => !called.has(by) && !by.startsWith('slow'))).toEqual([])
  expect(acknowledged.length).toBeGreaterThan(0)
}

async function startOther(): Promise<GatewayProcess> {
  const other = await startProcess({ ...world.env, GATEWAY_SECRET: TEST_SECRET })
  await other.line('Server eu1 is open')
  return other
}

/** Moves the tenant until `phase`, has `strike` happen then, and lets go what kept it there. */
async function moveUntil(url: string, phase: Phase, strike: () => Promise<unknown>): Promise<Json> {
  const held = [await phase.hold?.('before')]
  const slow = held[0] && call(url, 'slow', 'slow').catch(() => {})
  let isStruck = false
  const moving = moveInSteps(url, world, 'eu1', async ({ step }) => {
    if (step === 'holding') held.push(await phase.hold?.('holding'))
    if (step !== phase.step || isStruck) return
    isStruck = true
    const { isThere = async () => true } = phase
    await expect.poll(isThere, { timeout: 20_000, interval: 5 }).toBe(true)
    await strike()
    for (const sql of held) await sql?.end({ timeout: 0 })
  })
  const lines = await moving.catch(() => [])
  expect(isStruck).toBe(true)
  await slow
  return lines.at(-1)
}

async function addBig(): Promise<void> {
  await world.main.query(
    `insert into big select i, (select string_agg(sha512(int4send(i * 1000 + j))::text, '')
     from generate_series(1, 500) j) from generate_series(1, 400) i on conflict do nothing`,
    world.name,
  )
}

/** Waits for the end of the move, and checks that nothing is left of it. */
async function checkEnded(isMoved?: boolean): Promise<'main' | 'eu1'> {
  await expect.poll(movesLeft, { timeout: 40_000 }).toHaveLength(0)
  const isOn = async (server: 'main' | 'eu1') =>
    (await servers()[server].databases()).includes(world.name)
  const at = (await isOn('eu1')) ? 'eu1' : 'main'
  expect(await isOn(at === 'eu1' ? 'main' : 'eu1')).toBe(false)
  if (isMoved !== undefined) expect(at).toBe(isMoved ? 'eu1' : 'main')
  expect(await tracesOf(world)).toEqual([])
  const [{ n }] = (await servers()[at].query(
    'select count(*)::integer as n from big',
    world.name,
  )) as [Json]
  expect(n).toBe(400)
  for (const server of [world.main, world.eu1]) {
    const left = (await server.databases()).filter((one) => one.startsWith('_db_gateway_moved'))
    expect(left).toHaveLength(at === 'eu1' && server === world.main ? 1 : 0)
  }
  return at
}

async function moveBack(at: 'main' | 'eu1'): Promise<void> {
  if (at === 'main') return
  expect(await dropFormer(world, 'main')).toBe('dropped')
  expect((await replicate(world, 'main')).body.status).toBe('moved')
  expect(await dropFormer(world, 'eu1')).toBe('dropped')
}

describe.runIf(hasTools)('a move by logical replication whose gateway is killed', () => {
  test.each(Object.entries(PHASES))(
    'is ended by another one when %s',
    async (_, phase) => {
      await addBig()
      await world.main.query('truncate t', world.name)
      const other = await startOther()
      const callers = startCallers(() => world.gateway.url)
      await moveUntil(await other.url(), phase, async () => {
        other.kill('SIGKILL')
        await other.exit
      })
      const at = await checkEnded(phase.isMoved)
      const { length } = callers.acknowledged
      await expect.poll(() => callers.acknowledged.length).toBeGreaterThan(length)
      await callers.stop()
      // Calls that wait for it do not fail.
      expect(callers.unknown).toEqual([])
      await checkRows(servers()[at], callers)
      await moveBack(at)
    },
    120_000,
  )
})

describe.runIf(hasTools)('a move by logical replication whose only gateway is killed', () => {
  test.each(['calls are held', 'the catalog has been changed'])(
    'is ended when it is started again, killed when %s',
    async (name) => {
      await addBig()
      await world.main.query('truncate t', world.name)
      const phase = PHASES[name]!
      await world.gateway.stop()
      const one = await startOther()
      let url = await one.url()
      const callers = startCallers(() => url)
      await moveUntil(url, phase, async () => {
        one.kill('SIGKILL')
        await one.exit
      })
      world.gateway = await startTestGateway(world.env)
      url = world.gateway.url
      const at = await checkEnded(phase.isMoved)
      const { length } = callers.acknowledged
      await expect
        .poll(() => callers.acknowledged.length, { timeout: 10_000 })
        .toBeGreaterThan(length)
      await callers.stop()
      await checkRows(servers()[at], callers)
      await moveBack(at)
    },
    120_000,
  )
})

describe.runIf(hasTools)('a move by logical replication', () => {
  const phases = [
    ...['the tables are being copied', 'calls are held'],
    ...['the source has its other name', 'the catalog has been changed'],
  ]
  test.each(
    (['main', 'eu1'] as const).flatMap((server) => phases.map((name) => [server, name] as const)),
  )(
    'is ended after %s was killed when %s',
    async (which, name) => {
      await addBig()
      await world.main.query('truncate t', world.name)
      const server = servers()[which]
      const callers = startCallers(() => world.gateway.url)
      await moveUntil(world.gateway.url, PHASES[name]!, async () => {
        await server.kill()
        await server.start()
      })
      const at = await checkEnded()
      const { length } = callers.acknowledged
      await expect
        .poll(() => callers.acknowledged.length, { timeout: 20_000 })
        .toBeGreaterThan(length)
      await callers.stop()
      await checkRows(servers()[at], callers)
      await moveBack(at)
    },
    120_000,
  )
})
