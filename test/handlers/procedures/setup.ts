import { afterAll, beforeAll, expect } from 'vitest'
import {
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { pack, textFunction } from '../../helpers/platforms.ts'

export const platform = uniqueName('procedures')

export const database = `${platform}_main`

export let gateway: TestGateway

/** Runs SQL in the platform's database, behind the gateway's back. */
export const define = (sql: string) => queryDatabase(database, sql)

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    gateway = await startTestGateway({ MAX_RESULT_BYTES: '100000' })
    const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
    expect(body).toMatchObject({ status: 'ready' })
    await define(`
      create table note (body text);
      create function notes() returns setof text language sql as $$ select body from note $$
    `)
  })

  afterAll(() => gateway.stop())
}

/** The rows of a call that succeeds. */
export async function rows(name: string, params?: unknown): Promise<Json[]> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body).toMatchObject({ rows: expect.any(Array), row_count: body.rows?.length })
  expect(status).toBe(200)
  return body.rows
}

/** What is changed by hand is seen within 5 s, and looked for once a second at most. */
export const seen = (name: string, params: unknown) =>
  expect.poll(async () => (await gateway.call(platform, name, params)).body, {
    timeout: 8000,
    interval: 250,
  })

/** The status and the body of a call that fails. */
export async function failure(name: string, params?: unknown): Promise<Json> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body.rows).toBeUndefined()
  return { status, ...body }
}

export const post = (body: Json, path = '/call') => gateway.post(path, { platform, ...body })

/** The rows of the answer as they are written. */
export async function rowsText(name: string, params: string): Promise<string> {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"platform":"${platform}","function":"${name}","params":${params}}`,
  })
  const text = await response.text()
  return /^\{"rows":(.*),"row_count":1,"execution_time_ms":\d+\}$/s.exec(text)?.[1] ?? text
}

/** How often a text was noted, which begins so. */
export async function noted(body: string): Promise<number> {
  const [row] = await define(
    `select count(*)::int as times from note where starts_with(body, '${body}')`,
  )
  return row.times
}
