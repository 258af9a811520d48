import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import {
  connectTo,
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { eventually, startProcess } from '../helpers/process.ts'
import { store } from '../helpers/stored.ts'

let url: string
let one: TestGateway

beforeAll(async () => {
  url = await createAdminDatabase()
  one = await startTestGateway({ DATABASE_URL: url })
})

afterAll(async () => {
  await one.stop()
  await dropAdminDatabase(url)
})

const SCHEMA = 'tenant_db'
const BASE: Files = { 'tables/notes.sql': 'create table notes (id integer);' }
const WAITING: Files = { ...BASE, 'migrations/001_wait.sql': 'select pg_advisory_xact_lock(4242);' }

it('a job of a gateway that is killed is interrupted, and another start does what is left', async () => {
  const platform = uniqueName('fleet')
  const archive = await pack(BASE)
  for (const uuid of ['a', 'b']) {
    const ids = { schema_name: SCHEMA, uuid }
    expect((await one.register(platform, archive, undefined, ids)).status).toBe(200)
  }
  await store(one, platform, SCHEMA, WAITING)
  const holder = connectTo(`${platform}_${SCHEMA}_b`)
  afterTest(() => holder.end())
  await holder`select pg_advisory_lock(4242)`
  const killed = await startProcess({
    DATABASE_URL: url,
    GATEWAY_SECRET: TEST_SECRET,
    TEMPLATES: 'off',
    MIGRATE_ALL_ANSWER_SECS: '1',
  })
  const response = await fetch(`${await killed.url()}/v2/migrate-all`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, schema_name: SCHEMA }),
  })
  const { job_id: id } = (await response.json()) as Json
  await eventually('the first result', async () => {
    return (await statusOf(id)).succeeded === 1 || undefined
  })
  killed.kill('SIGKILL')
  await killed.exit
  const left = await eventually('that it is interrupted', async () => {
    const job = await statusOf(id)
    return job.status === 'interrupted' ? job : undefined
  })
  expect(left).toMatchObject({ total_databases: 2, succeeded: 1 })
  await holder.end()
  const again = await one.post('/v2/migrate-all', { platform, schema_name: SCHEMA })
  expect(again).toMatchObject({ status: 200, body: { status: 'completed', succeeded: 2 } })
  expect(again.body.results.map((result: Json) => result.migrations_applied)).toEqual([0, 1])
  expect((await statusOf(id)).status).toBe('interrupted')
})

it('a job whose end cannot be written for over a minute ends when it can', async () => {
  const platform = uniqueName('fleet')
  const ids = { schema_name: SCHEMA, uuid: 'a' }
  expect((await one.register(platform, await pack(BASE), undefined, ids)).status).toBe(200)
  await store(one, platform, SCHEMA, WAITING)
  const holder = connectTo(`${platform}_${SCHEMA}_a`)
  afterTest(() => holder.end())
  await holder`select pg_advisory_lock(4242)`
  const asked = one.post('/v2/migrate-all', { platform, schema_name: SCHEMA })
  const rename = (from: string, to: string) =>
    one.query(one.server.database, `alter table ${from} rename to ${to}`)
  const isOpen = `select id::text from _db_gateway_jobs where platform = '${platform}'`
  const [job] = await eventually('the job', async () => {
    const rows = await one.query(one.server.database, isOpen)
    return rows.length > 0 ? rows : undefined
  })
  await rename('_db_gateway_jobs', '_db_gateway_jobs_away')
  await holder.end()
  await sleep(66_000)
  await rename('_db_gateway_jobs_away', '_db_gateway_jobs')
  expect(await asked).toMatchObject({ status: 200, body: { status: 'completed', succeeded: 1 } })
  expect(await statusOf(job!.id)).toMatchObject({ status: 'completed', succeeded: 1 })
  const again = await one.post('/v2/migrate-all', { platform, schema_name: SCHEMA })
  expect(again).toMatchObject({ status: 200, body: { status: 'completed', succeeded: 1 } })
}, 120_000)

async function statusOf(id: string): Promise<Json> {
  return (await one.get(`/v2/migrate-all/${id}`)).body
}
