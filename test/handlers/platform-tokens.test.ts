import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Answer,
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { storeSchema } from '../helpers/stored.ts'

let url: string
let gateway: TestGateway

beforeAll(async () => {
  url = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: url })
})
afterAll(async () => {
  await gateway.stop()
  await dropAdminDatabase(url)
})

const brief = ({ status, body }: Answer) => [status, body.error ?? body.status]

async function newPlatform(schemas: string[]): Promise<string> {
  const platform = uniqueName('token')
  await gateway.post('/platform/register', { platform })
  const archive = await pack(textFunction('ping', 'pong'))
  for (const schema_name of schemas) await storeSchema(gateway, platform, archive, { schema_name })
  return platform
}

describe('a platform’s token', () => {
  const bearing = (token: string) => ({ authorization: `Bearer ${token}` })
  let guarded: TestGateway
  let required: TestGateway

  beforeAll(async () => {
    guarded = await startTestGateway({ DATABASE_URL: url, ADMIN_TOKEN: 'of-the-admin' })
    required = await startTestGateway({ DATABASE_URL: url, PLATFORM_TOKENS: 'required' })
  })
  afterAll(async () => {
    await guarded.stop()
    await required.stop()
  })

  test('is the same each time it is asked for, with the admin token', async () => {
    const platform = await newPlatform([])
    const refused = await guarded.post('/admin/platform-token', { platform })
    expect(brief(refused)).toEqual([401, 'unauthorized'])
    const admin = bearing('of-the-admin')
    const { status, body } = await guarded.post('/admin/platform-token', { platform }, admin)
    expect([status, body]).toEqual([
      200,
      { platform, token: expect.stringMatching(/^ssdb_pt_[0-9a-f]{32}$/) },
    ])
    const again = await gateway.post('/admin/platform-token', { platform })
    expect(again.body).toEqual(body)
    const others = await gateway.post('/admin/platform-token', { platform: await newPlatform([]) })
    expect(others.body.token).not.toBe(body.token)
    for (const at of [guarded, gateway]) expect(JSON.stringify(at.logged)).not.toContain('ssdb_pt_')
    const audit = await gateway.get(`/admin/audit?platform=${platform}`)
    expect(audit.body.entries[0].action).toBe('platform_token')
    expect(JSON.stringify(audit.body)).not.toContain('ssdb_pt_')
    // It is no admin token.
    const list = await guarded.get('/admin/platforms', bearing(body.token))
    expect(brief(list)).toEqual([401, 'unauthorized'])
  })

  test.each(['/admin/database/create', '/database/create'])('opens %s', async (path) => {
    const platform = await newPlatform(['hr'])
    const { token } = (await gateway.post('/admin/platform-token', { platform })).body
    const foreign = await newPlatform([])
    const { token: other } = (await gateway.post('/admin/platform-token', { platform: foreign }))
      .body
    const body = { platform, schema_name: 'hr', uuid: 'a' }
    for (const [at, name] of [
      [guarded, 'guarded'],
      [required, 'required'],
    ] as const) {
      const none = await at.post(path, body)
      expect([name, ...brief(none)]).toEqual([name, 401, 'unauthorized'])
      for (const wrong of [other, 'ssdb_pt_x', 'x']) {
        const refused = await at.post(path, body, bearing(wrong))
        expect([name, ...brief(refused)]).toEqual([name, 403, 'unauthorized'])
      }
    }
    expect((await guarded.post(path, body, bearing(token))).status).toBe(200)
    expect((await required.post(path, body, bearing(token))).status).toBe(409)
    expect((await guarded.post(path, body, bearing('of-the-admin'))).status).toBe(409)
    // Where nothing asks for a token, any is taken.
    expect((await gateway.post(path, body, bearing('x'))).status).toBe(409)
  })

  test('is optional for /v2/*, but what is no bearer is a wrong one', async () => {
    const platform = await newPlatform(['hr'])
    const body = { platform, schema_name: 'hr' }
    const asks = (headers = {}) => guarded.post('/v2/migrate-all', body, headers)
    expect((await asks()).status).toBe(200)
    expect((await asks(bearing('of-the-admin'))).status).toBe(200)
    for (const authorization of [
      'Bearer wrong',
      'Bearer of-the-admin more',
      'Bearer\tof-the-admin',
      'bearer',
      'Basic YTpi',
      'of-the-admin',
      '',
    ]) {
      const refused = await asks({ authorization })
      expect([authorization, ...brief(refused)]).toEqual([authorization, 403, 'unauthorized'])
    }
  })

  test('can be read by the gateway’s role alone', async () => {
    const [row] = await gateway.query(
      gateway.server.database,
      `select relacl::text as acl, pg_get_userbyid(relowner) = current_user as own from pg_class
       where relname = '_db_gateway_platforms'`,
    )
    expect(row.own).toBe(true)
    expect(row.acl ?? '').not.toMatch(/[{,]=/)
  })
})
