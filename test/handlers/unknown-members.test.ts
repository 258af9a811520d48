import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  queryDatabase,
  schemaForm,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

/** findings/CALL.md, C2: what an endpoint does not read may say whose database is meant. */
const platform = 'members'
let gateway: TestGateway
let archive: Uint8Array

beforeAll(async () => {
  gateway = await startTestGateway()
  archive = await pack(textFunction('ping', 'of main'))
  await gateway.register(platform, archive)
})
afterAll(() => gateway.stop())

const refused = (message: string) => [400, { error: 'invalid_request', message }]

describe('What an endpoint does not know is refused', () => {
  test('POST /call with the routing of another endpoint', async () => {
    const { status, body } = await gateway.post('/call', {
      platform,
      database_id: 'globex',
      function: 'ping',
    })
    expect([status, body]).toEqual(
      refused(
        'Unknown member "database_id": this endpoint takes platform, tenant_id, function, params, ' +
          'timeout_ms, session, primary, schema_name, uuid, numeric',
      ),
    )
  })

  test('POST /batch and each of its calls', async () => {
    const calls = [{ function: 'ping' }, { function: 'ping', parameters: [] }]
    const inCall = await gateway.post('/batch', { platform, calls })
    expect([inCall.status, inCall.body]).toEqual(
      refused('Unknown member "parameters": calls[1] takes function, params'),
    )
    const inBatch = await gateway.post('/batch', { platform, calls: [], tenant: 'globex' })
    expect([inBatch.status, inBatch.body]).toEqual(
      refused(
        'Unknown member "tenant": this endpoint takes platform, tenant_id, calls, transaction, ' +
          'timeout_ms, session, schema_name, uuid, numeric',
      ),
    )
  })

  test.each([
    ['/call', { platform, function: 'ping' }],
    ['/batch', { platform, calls: [{ function: 'ping' }] }],
    ['/admin/create-tenant', { platform, tenant_id: 'in_query' }],
  ])('POST %s with a query', async (path, body) => {
    const { status, body: told } = await gateway.post(`${path}?tenant_id=globex`, body)
    expect([status, told]).toEqual(
      refused(
        `POST ${path} takes no query, but has "?tenant_id=globex": send its fields in the body`,
      ),
    )
    expect((await gateway.post(`${path}?`, body)).status).toBeLessThan(300)
  })

  test('a form with a query', async () => {
    const { url } = gateway
    const form = schemaForm(platform, archive)
    const response = await fetch(`${url}/register?tenant_id=globex`, { method: 'POST', body: form })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: 'invalid_request' })
  })

  test('POST /admin/create-tenant makes nothing', async () => {
    const { status, body } = await gateway.post('/admin/create-tenant', {
      platform,
      tenant_id: 'globex',
      schema_name: 'tenant',
    })
    expect([status, body]).toEqual(
      refused(
        'Unknown member "schema_name": this endpoint takes platform, tenant_id, labels, deploy, if_exists, server',
      ),
    )
    const [row] = await queryDatabase(
      'postgres',
      `select count(*)::int as n from pg_database where datname = '${platform}_globex'`,
    )
    expect(row.n).toBe(0)
  })

  test.each([
    ['register', 'database_id'],
    ['migrate', 'database_id'],
    ['register', 'on_error'],
  ] as const)('POST /%s with the form field %s', async (endpoint, field) => {
    const answer = await gateway[endpoint](platform, archive, undefined, { [field]: 'x' })
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_request'])
    expect(answer.body.message).toMatch(
      `Unknown form field "${field}": this endpoint takes platform, tenant_id, schema, file`,
    )
  })

  test('a file of another name than schema', async () => {
    const form = new FormData()
    form.set('platform', platform)
    form.set('schema', new Blob([Buffer.from(archive)]), 'a.tar.gz')
    form.set('extra', new Blob([Buffer.from(archive)]), 'b.tar.gz')
    const response = await fetch(`${gateway.url}/migrate`, { method: 'POST', body: form })
    expect(response.status).toBe(400)
    expect(await response.text()).toContain('Unknown form field \\"extra\\"')
  })

  test.each([
    ['/admin/databases?platform=members&tenant_id=q', 'tenant_id', 'platform, limit, after'],
    ['/admin/deployments?platform=members&database_id=q', 'database_id', 'platform, tenant_id'],
    ['/admin/audit?database_id=q', 'database_id', 'platform, tenant_id, action'],
    ['/admin/fleet?tenant_id=q', 'tenant_id', 'platform'],
    ['/admin/activity?platform=a', 'platform', 'none'],
    ['/admin/events?platform=a', 'platform', 'none'],
    ['/admin/archives?platform=members&tenant_id=q', 'tenant_id', 'platform'],
    ['/admin/drift?platform=members&tenant_id=q', 'tenant_id', 'platform'],
    ['/platform/members/databases?schema_name=a', 'schema_name', 'schema'],
    ['/platform/members/schemas?schema=a', 'schema', 'none'],
    ['/admin/platforms?name=a', 'name', 'none'],
    ['/platforms?name=a', 'name', 'none'],
    ['/admin/pools?platform=a', 'platform', 'server'],
    ['/v2/migrate-all/x?platform=a', 'platform', 'none'],
  ])('GET %s', async (path, name, names) => {
    const { status, body } = await gateway.get(path)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    const told = `Unknown query parameter "${name}": this endpoint takes ${names}`
    expect(body.message).toContain(told)
  })

  test.each(['/health', '/live', '/ready', '/metrics'])('but for a probe of %s', async (path) => {
    expect((await fetch(`${gateway.url}${path}?probe=1`)).status).toBe(200)
  })

  test.each([
    ['null', '{tenant}'],
    ['tenant/null', '{uuid}'],
    ['null/7', '{schema}'],
  ])('GET /call/members/%s/ping, of a client without a value', async (path, part) => {
    const { status, body } = await gateway.get(`/call/members/${path}/ping`)
    expect([status, body.error]).toEqual([400, 'invalid_request'])
    expect(body.message).toContain(`The path has "null" for its ${part}`)
  })
})

describe('A form field that is given twice is refused', () => {
  const file = () => new Blob([Buffer.from(archive)])

  test.each([
    [
      '/register',
      [
        ['platform', platform],
        ['platform', 'q'],
        ['schema', ''],
      ],
      'Duplicate form field "platform"',
    ],
    [
      '/register',
      [
        ['platform', platform],
        ['schema', ''],
        ['schema', ''],
      ],
      'Duplicate form field "schema"',
    ],
    [
      '/migrate',
      [
        ['platform', platform],
        ['schema', ''],
        ['file', ''],
      ],
      'schema and file are both given: send one of them',
    ],
    [
      `/platform/${platform}/schema`,
      [
        ['schema_name', 'a'],
        ['schema_name', 'b'],
        ['schema', ''],
      ],
      'Duplicate form field "schema_name"',
    ],
    [
      `/platform/${platform}/schema`,
      [
        ['schema_name', 'a'],
        ['name', 'a'],
        ['schema', ''],
      ],
      'schema_name and name are both given: send one of them',
    ],
  ] as [string, [string, string][], string][])('POST %s with %j', async (path, parts, message) => {
    await gateway.post('/platform/register', { platform })
    const form = new FormData()
    for (const [name, value] of parts) {
      if (value === '') form.append(name, file(), 'a.tar.gz')
      else form.append(name, value)
    }
    const response = await fetch(`${gateway.url}${path}`, { method: 'POST', body: form })
    const body = await response.json()
    expect([response.status, body]).toEqual(refused(message))
  })
})
