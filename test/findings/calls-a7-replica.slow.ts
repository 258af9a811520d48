import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { startTestGateway, type TestGateway } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'
import { type ReplicationPair, startReplication } from '../helpers/replication.ts'

// As calls-a7-meanwhile.slow.ts, on a replica: the change comes there when it is replayed.

const platform = 'retyped'
const FILES: Files = {
  'migrations/001_pair.pssql': 'create type pair as (k text, n int);',
  'functions/pairs.pssql': `
    create function mkcn() returns table (pair text, replica bool) language plpgsql stable as $$
      begin
        return query select (row('t', 1)::pair).n::text || (row('t', 1)::pair)::text,
          pg_is_in_recovery();
      end $$;
    create function slow_mkcn() returns table (pair text, replica bool) language plpgsql stable as $$
      begin
        for i in 1..150 loop
          perform pg_sleep(0.01);
          pair := (row('t', 1)::pair).n::text || (row('t', 1)::pair)::text;
        end loop;
        replica := pg_is_in_recovery();
        return next;
      end $$;`,
}

let pair: ReplicationPair
/** A session on the replica, which would not outlive a crash of another one. */
let witness: postgres.Sql
const gateways: TestGateway[] = []

beforeAll(async () => {
  pair = await startReplication()
  witness = postgres({ ...parseDatabaseUrl(await pair.standby.url('witness')), max: 1 })
  for (let i = 0; i < 2; i++) {
    const gateway = await startTestGateway({
      DATABASE_URL: await pair.primary.url(`gateway ${i}`),
      DATABASE_READ_URLS: await pair.standby.url(`gateway ${i}`),
      // Less than the calls that run: the deploy finds the pools of the replica full.
      MAX_CONNECTIONS_PER_POOL: '2',
    })
    gateways.push(gateway)
  }
  await gateways[0]!.register(platform, await pack(FILES))
}, 120_000)
afterAll(async () => {
  for (const gateway of gateways) await gateway.stop()
  await witness?.end()
  await pair?.end()
})

test.each(['mkcn', 'slow_mkcn'])(
  'A7: calls of %s on a replica',
  { timeout: 90_000 },
  async (name) => {
    const witnessPid = async () => (await witness`select pg_backend_pid() as pid`)[0]!.pid
    const pid = await witnessPid()
    const wrong: unknown[] = []
    let onReplica = 0
    let isOver = false
    const loops = Array.from({ length: 8 }, async (_, i) => {
      while (!isOver) {
        const { status, body } = await gateways[i % 2]!.call(platform, name)
        if (status !== 200 || body.rows[0].pair !== '1(t,1)') wrong.push(body)
        else if (body.rows[0].replica) onReplica++
        await sleep(20)
      }
    })
    const usesReplica = () => {
      onReplica = 0
      return eventually('calls run on the replica', () => onReplica > 20)
    }
    try {
      for (const type of ['text', 'int']) {
        await usesReplica()
        const number = String(Object.keys(FILES).length).padStart(3, '0')
        FILES[`migrations/${number}_release.pssql`] =
          `-- gateway: allow-data-loss\nalter type pair alter attribute n type ${type} cascade;`
        const answer = await gateways[0]!.migrate(platform, await pack(FILES))
        expect(answer).toMatchObject({ status: 200 })
      }
      await usesReplica()
    } finally {
      isOver = true
      await Promise.all(loops)
    }
    expect(wrong).toEqual([])
    expect(await witnessPid()).toBe(pid)
  },
)
