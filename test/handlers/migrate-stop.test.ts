import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import { connectTo, type Json, schemaForm, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'

const { gateway, other } = await startTwoGateways()

const V1: Files = textFunction('version', 'one')
/** Its migration waits for the lock in each database. */
const V2: Files = {
  ...textFunction('version', 'two'),
  'migrations/001_wait.pssql': 'select pg_advisory_xact_lock(7);',
}

async function newFleet(tenants: string[]) {
  const platform = uniqueName('stop')
  const archive = await pack(V1)
  for (const tenant of [undefined, ...tenants]) await gateway.register(platform, archive, tenant)
  return platform
}

/** Starts a /migrate to V2 with lines, under this request id. */
async function* migrate(platform: string, id: string): AsyncGenerator<Json> {
  const response = await fetch(`${gateway.url}/migrate`, {
    method: 'POST',
    headers: { accept: 'application/x-ndjson', 'x-request-id': id },
    body: schemaForm(platform, await pack(V2), undefined, { progress: 'true' }),
  })
  for await (const line of createInterface({ input: Readable.fromWeb(response.body as never) })) {
    yield JSON.parse(line)
  }
}

const stop = (platform: string, id: string) =>
  other.post('/migrate/stop', { platform, request_id: id })

test('a fleet tells what it does, and starts nothing more once another gateway was asked to stop it', async () => {
  const platform = await newFleet(['a', 'b'])
  const sql = connectTo(`${platform}_main`)
  await sql`select pg_advisory_lock(7)`
  const lines: Json[] = []
  for await (const line of migrate(platform, 'stop-me')) {
    lines.push(line)
    if (lines.length === 2) {
      // Another platform, and another request: nothing happens.
      expect(await stop(uniqueName('stop'), 'stop-me')).toMatchObject({ status: 202 })
      expect(await stop(platform, 'stop-you')).toMatchObject({ status: 202 })
      expect(await stop(platform, 'stop-me')).toMatchObject({
        status: 202,
        body: { status: 'stopping', platform, request_id: 'stop-me' },
      })
      await sql.end()
    }
  }
  expect(lines.filter(({ databases }) => databases)).toEqual([
    { status: 'running', total: 3, done: 0, databases: [] },
    { status: 'running', total: 3, done: 0, databases: [`${platform}_main`] },
  ])
  expect(lines.at(-2)).toMatchObject({ database: `${platform}_main`, status: 'completed' })
  expect(lines.at(-1)).toMatchObject({
    error: 'migration_stopped',
    message:
      'Stopped by a request to /migrate/stop: 2 of 3 databases were not started. The same request again does what is left',
    databases_updated: [`${platform}_main`],
    not_started: [`${platform}_a`, `${platform}_b`],
  })
  const { body } = await gateway.get(`/admin/audit?platform=${platform}&limit=2`)
  expect(body.entries).toContainEqual(
    expect.objectContaining({ action: 'stop_migrate', summary: { request_id: 'stop-me' } }),
  )
})

test('a stop for other fleets stops nothing, and the next one does what is left', async () => {
  const platform = await newFleet(['a'])
  const lines: Json[] = []
  for await (const line of migrate(platform, 'all')) lines.push(line)
  expect(lines.at(-1)).toMatchObject({ status: 'completed' })
  expect(lines.filter(({ status }) => status === 'running')).toEqual([
    { status: 'running', total: 2, done: 0, databases: [] },
    { status: 'running', total: 2, done: 0, databases: [`${platform}_main`] },
    { status: 'running', total: 2, done: 1, databases: [`${platform}_a`] },
  ])
  expect(await stop(platform, '')).toMatchObject({ status: 400 })
})
