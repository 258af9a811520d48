import { request } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { poolMetrics } from '../../lib/metrics/pools.ts'
import { renderMetrics } from '../../lib/metrics/text.ts'
import { TopSeries } from '../../lib/metrics/top-series.ts'
import {
  type Json,
  queryDatabase,
  schemaForm,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { leastStall } from '../helpers/stall.ts'

// D6: a platform of 10,000 databases. Of most of them there is a row in the catalog alone: they are
// missing, which is told of each of them.

const TENANTS = 10_000

/** The longest turn of the event loop that is allowed, in milliseconds of this process's CPU. */
const MAX_TURN_MS = 50

let gateway: TestGateway
let platform: string
let form: () => Promise<{ type: string; body: Buffer }>
beforeAll(async () => {
  gateway = await startTestGateway()
  platform = uniqueName('many')
  const archive = await pack(textFunction('f', 'one'))
  await gateway.register(platform, archive)
  await queryDatabase(
    gateway.server.database,
    `insert into _db_gateway_databases (database, platform, tenant_id)
     select '${platform}_t' || i, '${platform}', 't' || i from generate_series(1, ${TENANTS}) i;
     insert into _db_gateway_deployments (
       database, platform, tenant_id, deployed_at, status, archive_checksum, request_id, deployment
     )
     select '${platform}_t' || i, '${platform}', 't' || i, now(), 'completed', 'x', 'y', jsonb_build_object(
       'warnings', array_fill('a warning that is as long as warnings are, more or less'::text, array[10])
     )
     from generate_series(1, ${TENANTS}) i`,
    { asGateway: true },
  )
  form = async () => {
    const next = await pack(textFunction('f', 'two'))
    const sent = new Request('http://x', { method: 'POST', body: schemaForm(platform, next) })
    return {
      type: sent.headers.get('content-type')!,
      body: Buffer.from(await sent.arrayBuffer()),
    }
  }
})
afterAll(async () => {
  // Each would be looked for on the server.
  await queryDatabase(
    gateway.server.database,
    `delete from _db_gateway_databases where database like '${platform}\\_t%'`,
    { asGateway: true },
  )
  await gateway.stop()
})

/** Asks without looking into the answer: this process is the gateway's, too. */
function ask(method: string, path: string, headers = {}, body?: Buffer) {
  return new Promise<{ status: number; text: () => string }>((resolve, reject) => {
    const req = request(gateway.url + path, { method, headers }, (res) => {
      const chunks: Buffer[] = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.on('end', () => {
        resolve({ status: res.statusCode!, text: () => Buffer.concat(chunks).toString() })
      })
      res.on('error', reject)
    })
    req.on('error', reject)
    req.end(body)
  })
}

/** Asks until the event loop is blocked for less than MAX_TURN_MS; returns the first answer. */
async function turnOf(asking: () => ReturnType<typeof ask>) {
  const answers: Awaited<ReturnType<typeof ask>>[] = []
  const turn = await leastStall(async () => answers.push(await asking()), MAX_TURN_MS)
  const [first] = answers
  return { turn, status: first!.status, text: first!.text() }
}

const migrate = async (headers = {}) => {
  const { type, body } = await form()
  return turnOf(() => ask('POST', '/migrate', { 'content-type': type, ...headers }, body))
}

test('/admin/databases lists them', async () => {
  const { status, turn, text } = await turnOf(() =>
    ask('GET', `/admin/databases?platform=${platform}`),
  )
  const answer: Json = JSON.parse(text)
  expect([status, answer.count]).toEqual([200, TENANTS + 1])
  expect(answer.databases.filter((one: Json) => one.missing)).toHaveLength(TENANTS)
  expect(turn).toBeLessThan(MAX_TURN_MS)
})

test('/admin/deployments tells of their deploys', async () => {
  const path = `/admin/deployments?platform=${platform}&limit=1000`
  const { status, turn, text } = await turnOf(() => ask('GET', path))
  expect([status, JSON.parse(text).count]).toEqual([200, 1000])
  expect(turn).toBeLessThan(MAX_TURN_MS)
})

test('/migrate tells what became of each', async () => {
  const { status, turn, text } = await migrate()
  const answer: Json = JSON.parse(text)
  expect([status, answer.error]).toEqual([503, 'connection_failed'])
  expect(answer.databases_updated).toEqual([`${platform}_main`])
  expect([answer.results.length, answer.failed.length]).toEqual([TENANTS + 1, TENANTS])
  expect(answer.failed[0]).toMatchObject({ error: 'database_not_found' })
  expect(turn).toBeLessThan(MAX_TURN_MS)
})

test('and in lines, as each ends', async () => {
  const { turn, text } = await migrate({ accept: 'application/x-ndjson' })
  const lines = text.trim().split('\n')
  expect(lines.length).toBeGreaterThanOrEqual(TENANTS + 2)
  expect(JSON.parse(lines.at(-1)!)).toMatchObject({ error: 'connection_failed' })
  expect(turn).toBeLessThan(MAX_TURN_MS)
})

test('/metrics writes what is counted of each', async () => {
  const counted = { opened: 1, closed: 1, evicted: 0, exhausted: 0 }
  const pools = Array.from({ length: TENANTS }, (_, i) => ({
    ...counted,
    database: `${platform}_t${i}`,
    platform,
    open: 0,
    busy: 0,
    idle: 0,
    waiting: 0,
    oldestWaitMs: 0,
  }))
  const report = { pools, permits: { held: 1, capacity: 2 }, totals: counted }
  const few = () => poolMetrics([report], new TopSeries())
  expect(await leastStall(few, MAX_TURN_MS)).toBeLessThan(MAX_TURN_MS)

  const metrics = poolMetrics([report], new TopSeries(10_000))
  let text = ''
  const write = async () => {
    text = await renderMetrics(metrics)
  }
  expect(await leastStall(write, MAX_TURN_MS)).toBeLessThan(MAX_TURN_MS)
  const lines = text.split('\n')
  expect(lines.filter((line) => line.includes(`database="${platform}_t7"`))).toHaveLength(8)
})
