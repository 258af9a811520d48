import { afterAll, beforeAll, expect } from 'vitest'
import {
  type Answer,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { clinicFiles, pack } from '../../helpers/platforms.ts'

// The main database is only read; `north` is written to; `south` stays as it was deployed.
export const platform = uniqueName('clinic')

export let gateway: TestGateway

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    gateway = await startTestGateway()
    const archive = await pack(await clinicFiles())
    for (const tenant of [undefined, 'north', 'south']) {
      const { body } = await gateway.register(platform, archive, tenant)
      expect(body).toMatchObject({ status: 'ready', functions_deployed: 40 })
    }
  })

  afterAll(() => gateway.stop())
}

export async function call(name: string, params?: unknown, tenant?: string): Promise<Answer> {
  return gateway.call(platform, name, params, tenant)
}

/** The rows of a call that succeeds. */
export async function rows(name: string, params?: unknown, tenant?: string): Promise<Json[]> {
  const { status, body } = await call(name, params, tenant)
  expect(body).toMatchObject({ rows: expect.any(Array), execution_time_ms: expect.any(Number) })
  expect([status, body.row_count]).toEqual([200, body.rows.length])
  return body.rows
}

/** The answer to a call as it is written: JSON.parse would lose digits. */
export async function text(name: string, params: unknown): Promise<string> {
  const response = await fetch(`${gateway.url}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform, function: name, params }),
  })
  return response.text()
}

export const north = (name: string, params?: unknown) => rows(name, params, 'north')

/** The status and the body of a call in `north` that fails. */
export async function failure(name: string, params?: unknown): Promise<Json> {
  const { status, body } = await call(name, params, 'north')
  return { status, ...body }
}
