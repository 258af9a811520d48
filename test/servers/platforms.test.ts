import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'
import { storeSchema } from '../helpers/stored.ts'

let eu1: OtherServer
let gateway: TestGateway
let one: Uint8Array
let two: Uint8Array
beforeAll(async () => {
  eu1 = await startOtherServer()
  gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri}` })
  one = await pack(textFunction('f', 'one'))
  two = await pack(textFunction('f', 'two'))
})
afterAll(async () => {
  await gateway.stop()
  await eu1.remove()
})

const archivesOf = async (platform: string) =>
  (await gateway.get(`/admin/archives?platform=${platform}`)).body.archives

describe('the archives of a platform on two servers', () => {
  const platform = uniqueName('archives')

  test('are those that were deployed on any of them', async () => {
    const first = await gateway.register(platform, one)
    const far = { platform, tenant_id: 'far', server: 'eu1', deploy: true }
    const created = await gateway.post('/admin/create-tenant', far)
    expect(created).toMatchObject({ status: 201, body: { checksum: first.body.checksum } })
    expect((await gateway.call(platform, 'f', [], 'far')).body.rows).toEqual([{ f: 'one' }])
  })

  test('are known on main when they were deployed elsewhere', async () => {
    const deployed = await gateway.register(platform, two, 'far')
    expect(deployed.status).toBe(200)
    expect((await archivesOf(platform))[0]).toMatchObject({
      checksum: deployed.body.checksum,
      databases: 1,
    })
    const near = { platform, tenant_id: 'near', server: 'main', deploy: true }
    const created = await gateway.post('/admin/create-tenant', near)
    expect(created.body.checksum).toBe(deployed.body.checksum)
    expect((await gateway.call(platform, 'f', [], 'near')).body.rows).toEqual([{ f: 'two' }])
  })

  test('have one order: an older one is known as such everywhere', async () => {
    const older = await gateway.register(platform, one, 'near')
    expect(older.status).toBe(200)
    const answer = await gateway.register(platform, one, 'far')
    expect(answer.body).toMatchObject({ superseded: true })
    expect((await gateway.call(platform, 'f', [], 'far')).body.rows).toEqual([{ f: 'two' }])
  })
})

describe('a platform whose databases are all on another server', () => {
  const platform = uniqueName('away')

  test('is known, and has a token and stored schemas', async () => {
    const created = { platform, tenant_id: 'a', server: 'eu1' }
    expect((await gateway.post('/admin/create-tenant', created)).status).toBe(201)
    const token = await gateway.post('/admin/platform-token', { platform })
    expect(token.status).toBe(200)
    expect((await storeSchema(gateway, platform, one, { schema_name: 's' })).status).toBe(200)
    const made = await gateway.post('/admin/database/create', {
      platform,
      schema_name: 's',
      uuid: 'u1',
      server: 'eu1',
    })
    expect(made).toMatchObject({ status: 200, body: { status: 'created', server: 'eu1' } })
    expect(await eu1.databases()).toContain(`${platform}_s_u1`)
    const migrated = await gateway.post('/v2/migrate', {
      platform,
      schema_name: 's',
      uuid: 'u1',
    })
    expect(migrated).toMatchObject({ status: 200, body: { status: 'completed' } })
  })
})
