import { describe, expect, test } from 'vitest'
import { connectionTo } from '../../lib/deploy/relocate/replicate/link.ts'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { findTools } from '../helpers/dumps.ts'
import { replicate, replicatedWorld, tracesOf } from '../helpers/replicated-moves.ts'

// Moves by logical replication to a server that has too few workers. PG_MAJOR=15 has pg_dump of Debian 12.

const hasTools = (await findTools()) !== undefined

// One of the two is the launcher's.
const world = replicatedWorld(
  {
    'tables/t.pssql': 'create table t (id integer primary key); insert into t values (1);',
    'functions/total.pssql': `create or replace function total() returns integer language sql stable
      as $$ select count(*)::integer from t $$`,
  },
  { max_worker_processes: '2' },
)

/** Has another subscription take the worker. */
async function takeWorker(): Promise<void> {
  const { main, eu1 } = world
  await main.query('create publication other')
  const connection = connectionTo(parseDatabaseUrl(main.uri), 'gateway', 'other')
  await eu1.query(
    `create subscription other connection '${connection.replaceAll("'", "''")}' publication other`,
  )
  const workers = () => eu1.query('select from pg_stat_subscription where pid is not null')
  await expect.poll(async () => (await workers()).length, { timeout: 30_000 }).toBe(1)
}

describe.runIf(hasTools)('a move by logical replication', () => {
  test.each([
    ['receives changes', true],
    ['copies a table', false],
  ])(
    'ends where no worker %s',
    async (what, isTaken) => {
      const { gateway, platform, main, eu1, name } = world
      if (isTaken) await takeWorker()
      const { body } = await replicate(world, 'eu1')
      if (isTaken) await eu1.query('drop subscription other')
      await main.query('drop publication if exists other')
      expect(body.error).toBe('move_refused')
      expect(body.message).toContain(`the other server has had no worker that ${what} for 60 s`)
      expect(body.hint).toContain('max_worker_processes')
      expect(await tracesOf(world)).toEqual([])
      expect(await eu1.databases()).not.toContain(name)
      const { body: called } = await gateway.call(platform, 'total', [], 'north')
      expect(called.rows).toEqual([{ total: 1 }])
    },
    180_000,
  )
})
