import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '4' })
})
afterAll(() => gateway.stop())

const rolesOf = async (platforms: string[]) => {
  const rows = await queryDatabase(
    gateway.server.database,
    `select owner_role from _db_gateway_databases
     where platform in (${platforms.map((one) => `'${one}'`).join(', ')})`,
    { asGateway: true },
  )
  return rows.map(({ owner_role }) => owner_role)
}

describe('attack 1, 12: no two platforms have one role', () => {
  test('a platform that is named as the role of a long one is', async () => {
    const long = uniqueName('long').padEnd(61, 'x')
    const hash = createHash('sha256').update(long).digest('hex').slice(0, 16)
    const alike = `${`gw_${long}`.slice(3, 46)}_${hash}`
    const archive = await pack(textFunction('motto', 'm'))
    expect((await gateway.register(long, archive, 'a')).status).toBe(200)
    expect((await gateway.register(alike, archive, 'b')).status).toBe(200)
    const roles = await rolesOf([long, alike])
    expect(new Set(roles).size).toBe(2)
  })
})
