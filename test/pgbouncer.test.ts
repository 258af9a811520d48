import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createAdminDatabase, dropAdminDatabase, startTestGateway } from './helpers/gateway.ts'
import { IGNORED, type PgBouncer, startPgBouncer, whyNoPgBouncer } from './helpers/pgbouncer.ts'
import { NOTES, pack } from './helpers/platforms.ts'

const why = whyNoPgBouncer()
let url: string

beforeAll(async () => {
  url = await createAdminDatabase()
})
afterAll(() => dropAdminDatabase(url))
beforeEach(({ skip }) => {
  if (why) skip(why)
})

/** Why a gateway does not start. */
async function refusal(pooler: PgBouncer, query?: string): Promise<string> {
  const starting = startTestGateway({ DATABASE_URL: pooler.through(url, query) })
  const gateway = await starting.catch((error: Error) => error.message)
  if (typeof gateway === 'string') return gateway
  await gateway.stop()
  return 'it starts'
}

describe('behind PgBouncer', () => {
  test('in session mode a platform is registered and called', async () => {
    const pooler = await startPgBouncer()
    const gateway = await startTestGateway({ DATABASE_URL: pooler.through(url) })
    expect(await gateway.register('bounced', await pack(NOTES))).toMatchObject({ status: 200 })
    await gateway.stop()
    await pooler.stop()
  })

  test('the start says what to set without pooler=session, and in transaction mode', async () => {
    const strict = await startPgBouncer()
    expect(await refusal(strict, '')).toMatch(/refuses .*: add pooler=session to DATABASE_URL/)
    await strict.stop()
    const silent = await startPgBouncer({ ignore_startup_parameters: IGNORED })
    expect(await refusal(silent, '')).toMatch(/drops startup parameters: add pooler=session/)
    await silent.stop()
    const shared = await startPgBouncer({ pool_mode: 'transaction' })
    expect(await refusal(shared)).toMatch(/transaction or statement mode.* Set pool_mode = session/)
    await shared.stop()
  })
})
