import { describe, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import { type Answer, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { storeSchema } from '../helpers/stored.ts'

/** Platforms, their stored schemas and what is created from them: two gateways on one catalog. */
const { gateway, other } = await startTwoGateways({ STORED_SCHEMAS_PER_PLATFORM: '4' })

const store = (
  platform: string,
  archive: Uint8Array,
  fields: Record<string, string>,
  file?: string,
) => storeSchema(gateway, platform, archive, fields, file)

const files = (text: string) => ({
  'tables/thing.pgsql': 'create table thing (id int primary key);',
  'seeders/thing.pgsql': 'insert into thing values (1), (2);',
  ...textFunction('ping', text),
})
const create = (at: TestGateway, body: object) => at.post('/admin/database/create', body)
const brief = ({ status, body }: Answer) => [status, body.error ?? body.status]

async function newPlatform(schemas: string[]): Promise<string> {
  const platform = uniqueName('stored')
  expect(brief(await gateway.post('/platform/register', { platform }))).toEqual([200, 'registered'])
  for (const name of schemas) {
    const stored = await store(platform, await pack(files(name)), { schema_name: name })
    expect(brief(stored)).toEqual([200, 'registered'])
  }
  return platform
}

describe('POST /platform/register', () => {
  test('makes a platform known once, to all gateways', async () => {
    const platform = uniqueName('stored')
    const { status, body } = await gateway.post('/platform/register', { platform })
    expect([status, body]).toEqual([
      200,
      {
        status: 'registered',
        platform,
        message: `Platform registered. POST /platform/${platform}/schema stores a schema.`,
        has_dedicated_credentials: true,
      },
    ])
    const again = await other.post('/platform/register', { platform })
    expect(brief(again)).toEqual([409, 'platform_already_registered'])
    const listed = await other.get('/platforms')
    expect(listed.body.platforms).toContainEqual({ name: platform, schemas: 0, databases: 0 })
    expect((await other.get('/admin/platforms')).body).toEqual(listed.body)
    const audit = await gateway.get(`/admin/audit?platform=${platform}`)
    expect(audit.body.entries.map((one: { action: string }) => one.action)).toEqual([
      'register_platform',
      'register_platform',
    ])
  })

  test('takes credentials in pairs, and does not use them', async () => {
    const platform = uniqueName('stored')
    const half = await gateway.post('/platform/register', { platform, db_user: 'u' })
    expect(brief(half)).toEqual([400, 'invalid_request'])
    const both = { platform, db_user: 'u', db_password: 'not in the audit trail' }
    const { status, body } = await gateway.post('/platform/register', both)
    expect(status).toBe(200)
    expect(body.warnings).toEqual([expect.stringContaining('db_user and db_password are not used')])
    const audit = await gateway.get(`/admin/audit?platform=${platform}`)
    expect(JSON.stringify(audit.body)).not.toContain('not in the audit trail')
  })

  test('knows a platform that came by /register', async () => {
    const platform = uniqueName('stored')
    await gateway.register(platform, await pack(files('1')))
    const { body } = await other.get(`/platform/${platform}/databases`)
    expect(body).toEqual({
      platform,
      databases: [
        {
          id: 'main',
          database_name: `${platform}_main`,
          schema_name: null,
          created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
        },
      ],
      count: 1,
    })
    expect(brief(await gateway.post('/platform/register', { platform }))).toEqual([
      200,
      'registered',
    ])
  })
})

describe('POST /platform/{platform}/schema', () => {
  test('stores an archive under any name, and replaces it', async () => {
    const platform = await newPlatform([])
    const first = await store(platform, await pack(files('1')), { schema_name: 'v1.0' })
    const { checksum } = first.body
    expect(first.body).toEqual({
      status: 'registered',
      platform,
      schema_name: 'v1.0',
      has_tables: true,
      has_functions: true,
      has_migrations: false,
      has_seeders: true,
      checksum,
      warnings: [],
    })
    const functions = await pack(textFunction('ping', '2'))
    const second = await store(platform, functions, { name: 'v1.0' }, 'file')
    expect(second.body).toMatchObject({ has_tables: false, has_functions: true })
    expect(second.body.checksum).not.toBe(checksum)
    const { body } = await other.get(`/platform/${platform}/schemas`)
    expect(body).toEqual({
      platform,
      schemas: [
        {
          name: 'v1.0',
          checksum: second.body.checksum,
          has_tables: false,
          has_functions: true,
          has_migrations: false,
          has_seeders: false,
        },
      ],
      count: 1,
    })
  })

  test.each([
    [{}, 'schema', 'schema_name is missing'],
    [
      { schema_name: 'a', name: 'b' },
      'schema',
      'schema_name and name are both given: send one of them',
    ],
    [{ schema_name: 'a' }, 'archive', 'Unknown form field "archive"'],
    [{ schema_name: 'a', platform: 'x' }, 'schema', 'Unknown form field "platform"'],
    [{ schema_name: '../a' }, 'schema', 'schema_name must be'],
  ])('refuses %j with the file %s', async (fields, file, message) => {
    const platform = await newPlatform([])
    const archive = await pack(files('1'))
    const { status, body } = await store(platform, archive, fields as Record<string, string>, file)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(message)
  })

  test('refuses what is no archive, and an unknown platform', async () => {
    const platform = await newPlatform([])
    const broken = await store(platform, Buffer.from('no gzip'), { schema_name: 'a' })
    expect(brief(broken)).toEqual([400, 'schema_extraction_failed'])
    const unknown = await store('nobody', await pack(files('1')), { schema_name: 'a' })
    expect(brief(unknown)).toEqual([404, 'not_found'])
    for (const path of ['schemas', 'databases']) {
      expect(brief(await gateway.get(`/platform/nobody/${path}`))).toEqual([404, 'not_found'])
    }
    expect(brief(await gateway.post('/admin/platform-token', { platform: 'nobody' }))).toEqual([
      404,
      'not_found',
    ])
  })

  test('takes so many names of a platform, also of those that come at once', async () => {
    const platform = await newPlatform(['v1', 'v2'])
    const archive = await pack(files('next'))
    const names = Array.from({ length: 6 }, (_, at) => `more ${at}`)
    const answers = await Promise.all(
      names.map((schema_name) => store(platform, archive, { schema_name })),
    )
    expect(answers.map(brief).sort()).toEqual([
      [200, 'registered'],
      [200, 'registered'],
      ...Array.from({ length: 4 }, () => [422, 'too_many_schemas']),
    ])
    expect(answers.find(({ status }) => status === 422)?.body).toMatchObject({
      message: `Platform ${platform} has 4 stored schemas; the limit is 4 (STORED_SCHEMAS_PER_PLATFORM)`,
    })
    expect(brief(await store(platform, archive, { schema_name: 'v1' }))).toEqual([
      200,
      'registered',
    ])
    await newPlatform(['v1'])
  })
})

describe('POST /admin/database/create', () => {
  test('creates what schema_name and uuid name, from the stored schema', async () => {
    const platform = await newPlatform(['hr', 'main'])
    const { status, body } = await create(gateway, { platform, schema_name: 'hr', uuid: 'A-1' })
    expect([status, body]).toMatchObject([
      200,
      {
        status: 'created',
        platform,
        schema_name: 'hr',
        database_name: `${platform}_hr_a_1`,
        extensions_installed: 0,
        types_deployed: 0,
        tables_created: 1,
        functions_deployed: 1,
        execution_time_ms: expect.any(Number),
      },
    ])
    const tenant = { platform, schema_name: 'hr', uuid: 'a_1', function: 'ping' }
    expect((await other.post('/call', tenant)).body.rows).toEqual([{ ping: 'hr' }])

    // At another gateway, in another spelling.
    const again = await create(other, { platform, schema_name: 'hr', uuid: 'a_1' })
    expect([again.status, again.body]).toMatchObject([
      409,
      { error: 'database_already_exists', database: `${platform}_hr_a_1` },
    ])
    const second = await other.post('/database/create', { platform, schema_name: 'hr', uuid: 'b' })
    expect(second.body).toMatchObject({ tables_created: 1, functions_deployed: 1 })
    for (const [schema_name, name] of [
      ['hr', `${platform}_hr`],
      ['main', `${platform}_main`],
    ]) {
      const base = await create(gateway, { platform, schema_name, uuid: null })
      expect(base.body.database_name).toBe(name)
    }
    const names = async (query = '') => {
      const answer = await other.get(`/platform/${platform}/databases${query}`)
      return answer.body.databases.map(
        ({ id, database_name, schema_name }: Record<string, string>) =>
          `${id} ${database_name!.slice(platform.length)} ${schema_name}`,
      )
    }
    const hr = ['main _hr hr', 'a_1 _hr_a_1 hr', 'b _hr_b hr']
    expect(await names('?schema=hr')).toEqual(hr)
    expect(await names()).toEqual([hr[0], 'main _main main', ...hr.slice(1)])
  })

  test('creates what database_id names, beside tenants of before', async () => {
    const platform = await newPlatform(['v1.0'])
    await gateway.register(platform, await pack(files('by register')), 'Old-1')
    const one = { platform, schema_name: 'v1.0' }
    const made = await create(gateway, { ...one, database_id: 'Clinic-1' })
    expect(made.body).toMatchObject({ database_name: `${platform}_clinic_1`, schema_name: 'v1.0' })
    expect((await gateway.call(platform, 'ping', [], 'Clinic-1')).body.rows).toEqual([
      { ping: 'v1.0' },
    ])
    const main = await create(gateway, { ...one, database_id: 'main' })
    expect(main.body.database_name).toBe(`${platform}_main`)
    for (const database_id of ['clinic_1', 'CLINIC-1', 'old_1', 'main', null, '']) {
      const again = await create(other, { ...one, database_id })
      expect(brief(again)).toEqual([409, 'database_already_exists'])
    }
    const { body } = await other.get(`/platform/${platform}/databases?schema=v1.0`)
    expect(body.databases.map(({ id }: { id: string }) => id)).toEqual(['main', 'Clinic-1'])
  })

  test('is 409 where the tenant has a database of before', async () => {
    const platform = await newPlatform(['hr'])
    await gateway.register(platform, await pack(files('before')), 'T-1')
    const again = await create(gateway, { platform, schema_name: 'hr', uuid: 't_1' })
    expect([again.status, again.body.database]).toEqual([409, `${platform}_t_1`])
  })

  test('is 422 where the name is another owner’s', async () => {
    const platform = await newPlatform(['hr'])
    await gateway.register(platform, await pack(files('1')), 'hr')
    const { status, body } = await create(gateway, { platform, schema_name: 'hr' })
    expect([status, body.error, body.database]).toEqual([
      422,
      'database_name_collision',
      `${platform}_hr`,
    ])
  })

  test('is 400 for an unknown platform or schema, and for both kinds of id', async () => {
    const platform = await newPlatform(['hr'])
    const refused = async (body: object) => {
      const answer = await create(gateway, body)
      expect(brief(answer)).toEqual([400, 'invalid_request'])
      return answer.body.message
    }
    expect(await refused({ platform: 'nobody', schema_name: 'hr' })).toContain('nobody')
    expect(await refused({ platform, schema_name: 'crm' })).toContain('it has hr')
    expect(await refused({ platform, schema_name: 'hr', uuid: 'a', database_id: 'b' })).toContain(
      'uuid and database_id are both given',
    )
    expect(await refused({ platform, schema_name: 'hr', tenant_id: 'a' })).toBe(
      'Unknown member "tenant_id": this endpoint takes platform, schema_name, uuid, database_id, server',
    )
    expect(await refused({ platform, schema_name: 'hr', uuid: 7 })).toContain('must be a string')
    const long = { platform, schema_name: 'hr', uuid: 'x'.repeat(60) }
    expect(await refused(long)).toContain('PostgreSQL allows 63')
    const call = await gateway.post('/call', { ...long, function: 'ping' })
    expect(brief(call)).toEqual([400, 'invalid_request'])
  })

  test('leaves nothing where the schema fails', async () => {
    const platform = await newPlatform([])
    const archive = await pack({ 'functions/a.pgsql': 'create function a() returns nothing' })
    await store(platform, archive, { schema_name: 'bad' })
    const { status } = await create(gateway, { platform, schema_name: 'bad' })
    expect(status).toBe(422)
    const { body } = await gateway.get(`/platform/${platform}/databases`)
    expect(body.count).toBe(0)
  })

  test('of one database at two gateways at once makes it once', async () => {
    const platform = await newPlatform(['hr'])
    const body = { platform, schema_name: 'hr', uuid: 'a' }
    const answers = await Promise.all([create(gateway, body), create(other, body)])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
  })

  test('takes spellings that are sent at once for one tenant', async () => {
    const platform = await newPlatform(['v1.0'])
    const answers = await Promise.all(
      ['Org-1', 'org_1', 'ORG-1'].map((database_id, index) =>
        create(index === 1 ? other : gateway, { platform, schema_name: 'v1.0', database_id }),
      ),
    )
    expect(answers.map(brief).sort()).toEqual([
      [200, 'created'],
      [409, 'database_already_exists'],
      [409, 'database_already_exists'],
    ])
  })
})
