import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect } from 'vitest'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { pack, textFunction } from '../../helpers/platforms.ts'

export const MAX_BODY_BYTES = 100_000

export const platform = uniqueName('call')

export const database = `${platform}_main`

export let adminUrl: string

export let gateway: TestGateway

/** A second gateway on the same PostgreSQL, which gives statements one second. */
export let other: TestGateway

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    adminUrl = await createAdminDatabase()
    const env = { DATABASE_URL: adminUrl, MAX_BODY_BYTES: String(MAX_BODY_BYTES) }
    gateway = await startTestGateway(env)
    other = await startTestGateway({ ...env, STATEMENT_TIMEOUT_SECS: '1' })
    const { body } = await gateway.register(platform, await pack(textFunction('ping', 'pong')))
    expect(body).toMatchObject({ status: 'ready' })
  })

  afterAll(async () => {
    await other.stop()
    await gateway.stop()
    await dropAdminDatabase(adminUrl)
  })
}

/** Runs SQL in the platform's database, behind the gateway's back. */
export const define = (sql: string) => queryDatabase(database, sql)

/** The same, where unknown names came just before, which have the database asked only now and then. */
export async function defineNew(sql: string): Promise<void> {
  await define(sql)
  await sleep(1100)
}

/** The rows of a call that succeeds. */
export async function rows(name: string, params?: unknown): Promise<Json[]> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body).toMatchObject({ rows: expect.any(Array), row_count: body.rows?.length })
  expect(status).toBe(200)
  return body.rows
}

/** The status and the body of a call that fails. */
export async function failure(name: string, params?: unknown): Promise<Json> {
  const { status, body } = await gateway.call(platform, name, params)
  expect(body.rows).toBeUndefined()
  return { status, ...body }
}

/** The status and the body of an answer to a request's body, whatever it is. */
export async function post(body: unknown): Promise<Json> {
  const answer = await gateway.post('/call', body)
  return { status: answer.status, ...answer.body }
}

export interface RawAnswer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  /** Whether "100 Continue" came before. */
  continued: boolean
}

export interface RawRequest {
  headers?: Record<string, string>
  chunks?: (string | Buffer)[]
  /** Send the body when the server says "100 Continue", and not before. */
  waits?: boolean
}

/** A request that fetch would not send. */
export function raw({ headers = {}, chunks = [], waits = false }: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    let continued = false
    const req = httpRequest(`${gateway.url}/call`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      agent: false,
    })
    const send = () => {
      for (const chunk of chunks) req.write(chunk)
      req.end()
    }
    req.on('continue', () => {
      continued = true
      send()
    })
    req.on('error', reject)
    req.on('response', async (res) => {
      let text = ''
      for await (const chunk of res.setEncoding('utf8')) text += chunk
      resolve({ status: res.statusCode!, headers: res.headers, text, continued })
      req.destroy()
    })
    if (waits) req.flushHeaders()
    else send()
  })
}

export const pingBody = (extra: object = {}) =>
  JSON.stringify({ platform, function: 'ping', ...extra })
