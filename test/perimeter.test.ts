import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadRoutes, type Route } from '../lib/http/routes.ts'
import { PROJECT, schemaForm, startTestGateway, type TestGateway } from './helpers/gateway.ts'
import { pack, textFunction } from './helpers/platforms.ts'

/** Who is who in these tests; proxies are trusted, so that anybody can ask from here. */
const BOUND = '10.0.1.17'
const OTHER = '10.0.1.5'
const ADMIN = '10.0.9.9'
const STRANGER = '203.0.113.9'
const LOOPBACK = '127.0.0.1'
const SETTINGS = {
  TRUSTED_PROXIES: '127.0.0.1',
  ALLOWED_NETWORKS: '10.0.1.0/24',
  ADMIN_NETWORKS: '10.0.9.0/24,10.0.1.16/28',
  PLATFORM_NETWORKS: 'my-app=10.0.1.16/28,10.0.9.8/29 ; here = 127.0.0.0/8;',
}

/** A status, and the code of an error. */
async function outcome(response: Response): Promise<string> {
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  const error = isJson && text !== '' ? JSON.parse(text).error : undefined
  return error ? `${response.status} ${error}` : `${response.status}`
}

describe('who is where', () => {
  let gateway: TestGateway
  let archive: Uint8Array
  beforeAll(async () => {
    archive = await pack(textFunction('ping', 'pong'))
    gateway = await startTestGateway(SETTINGS)
    await expect(register(BOUND, 'my-app')).resolves.toBe('200')
    await expect(register(OTHER, 'open')).resolves.toBe('200')
    await expect(register(LOOPBACK, 'here')).resolves.toBe('200')
  })
  afterAll(() => gateway.stop())

  const ask = async (address: string, path: string, init: RequestInit = {}) => {
    const headers = { ...init.headers, 'x-forwarded-for': address }
    return outcome(await fetch(gateway.url + path, { ...init, headers }))
  }
  const register = (address: string, platform: string) =>
    ask(address, '/register', { method: 'POST', body: schemaForm(platform, archive) })
  const call = (address: string, platform: string, tenantId?: string) =>
    ask(address, '/call', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ platform, tenant_id: tenantId, function: 'ping' }),
    })

  const [yes, address, platform] = ['200', '403 unauthorized', '403 platform_isolation_violation']
  it.each([
    ['/health', [yes, yes, yes, yes, yes]],
    ['/metrics', [yes, address, yes, address, address]],
    ['/admin/pools', [yes, address, yes, address, address]],
    ['/admin/nowhere', ['404 not_found', address, '404 not_found', address, address]],
    ['/nowhere', ['404 not_found', '404 not_found', address, '404 not_found', address]],
    ['/admin/databases?platform=open', [yes, address, yes, address, address]],
    ['/admin/databases?platform=my-app', [yes, address, yes, address, address]],
    ['/admin/databases?platform=here', [platform, address, platform, address, address]],
    ['call open', [yes, yes, address, yes, address]],
    ['call my-app', [yes, platform, address, platform, address]],
    ['call here', [platform, platform, address, yes, address]],
    // The same names of databases, written differently.
    ['call my_app new', ['404 database_not_found', platform, address, platform, address]],
    ['call My-App new', ['404 database_not_found', platform, address, platform, address]],
    ['call _my-app_ new', ['404 database_not_found', platform, address, platform, address]],
  ])(
    '%s, for one who is bound, another, an admin, loopback, a stranger',
    async (what, expected) => {
      const [first, platform = '', tenantId] = what.split(' ')
      const one = (from: string) =>
        first === 'call' ? call(from, platform, tenantId) : ask(from, what)
      const seen = await Promise.all([BOUND, OTHER, ADMIN, LOOPBACK, STRANGER].map(one))
      expect(seen).toEqual(expected)
    },
  )

  it('says in the error and in the log who asked for which platform', async () => {
    const { status, body } = await gateway.post(
      '/call',
      { platform: 'my-app', function: 'ping' },
      { 'x-forwarded-for': OTHER },
    )
    expect([status, body]).toEqual([
      403,
      {
        error: 'platform_isolation_violation',
        message: `PLATFORM_NETWORKS does not let the address ${OTHER} name the platform "my-app"`,
      },
    ])
    expect(gateway.logged.at(-1)).toMatchObject({ status: 403, address: OTHER, platform: 'my-app' })
  })

  it('names ADMIN_NETWORKS to one who is not in there', async () => {
    const { body } = await gateway.get('/admin/pools', { 'x-forwarded-for': OTHER })
    expect(body.message).toBe(`The address ${OTHER} is not in ADMIN_NETWORKS`)
  })

  it.each(['pools', 'activity'])(
    '/admin/%s lists the pools of its platforms alone',
    async (path) => {
      const named = async (address: string) => {
        const { pools } = (await gateway.get(`/admin/${path}`, { 'x-forwarded-for': address })).body
        return pools.map((one: { platform: string | null }) => one.platform)
      }
      expect(await named(ADMIN)).toEqual(expect.arrayContaining([null, 'my-app', 'open']))
      expect(await named(ADMIN)).not.toContain('here')
    },
  )

  it('writes nothing for a platform that the address may not name', async () => {
    const asked = ask(OTHER, '/register', {
      method: 'POST',
      body: schemaForm('MY_APP', archive, 'new'),
    })
    await expect(asked).resolves.toBe(platform)
    const rows = await gateway.query(
      gateway.server.database,
      `select database from _db_gateway_databases where database like 'my_app%'`,
    )
    expect(rows).toEqual([{ database: 'my_app_main' }])
  })
})

describe('every endpoint', () => {
  /** Those that name no platform, or those of all. */
  const WITHOUT_PLATFORM = [
    'GET /admin/activity',
    'GET /admin/events',
    'GET /admin/platforms',
    'GET /admin/pools',
    'GET /console',
    'GET /console/:version/:file',
    'GET /console/:version/:folder/:file',
    'GET /docs',
    'GET /docs/:version/:file',
    'GET /health',
    'GET /live',
    'GET /metrics',
    'GET /platforms',
    'GET /ready',
    // That of the job, which is looked up first.
    'GET /v2/migrate-all/:job_id',
    // That of the call, which its id names.
    'POST /admin/cancel-call',
    // It plans for the platforms that the address may name.
    'POST /admin/rebalance',
    'POST /admin/test-alert',
  ]
  let gateway: TestGateway
  let routes: Route[]
  let archive: Uint8Array
  beforeAll(async () => {
    routes = await loadRoutes(join(PROJECT, 'handlers'))
    archive = await pack(textFunction('ping', 'pong'))
    gateway = await startTestGateway({ PLATFORM_NETWORKS: 'myapp=127.0.0.2' })
  })
  afterAll(() => gateway.stop())

  /** Names the platform wherever a request can: in the path, the query, the JSON or the form. */
  const ask = async (
    { method, path, takesQuery }: Pick<Route, 'method' | 'path' | 'takesQuery'>,
    localAddress: string,
  ) => {
    const url = `${gateway.url}${path.replace(':platform', 'myapp').replaceAll(/:\w+/g, 'x')}`
    const query = method === 'GET' || takesQuery ? '?platform=myapp' : ''
    const call = { function: 'ping' }
    const more = path === '/batch' ? { calls: [call] } : path === '/call' ? call : {}
    const owners = [{ tenant_id: 'x' }, { schema_name: 'x', uuid: 'x' }, {}]
    let answer = ''
    for (const owner of method === 'GET' ? [{}] : owners) {
      const json = JSON.stringify({ platform: 'myapp', ...owner, ...more })
      const asJson = new Request(url + query, {
        method,
        ...(method !== 'GET' && { body: json, headers: { 'content-type': 'application/json' } }),
      })
      answer = await send(asJson, localAddress)
      // The endpoint takes other members.
      if (!answer.startsWith('400')) break
    }
    if (!answer.startsWith('415')) return answer
    return send(new Request(url, { method, body: schemaForm('myapp', archive, 'x') }), localAddress)
  }

  it('that a platform is named to refuses other addresses than the platform’s', async () => {
    const refusing: string[] = []
    for (const route of routes) {
      const answer = await ask(route, '127.0.0.1')
      if (answer === '403 platform_isolation_violation')
        refusing.push(`${route.method} ${route.path}`)
      // One of the endpoints suspends the tenant.
      expect(await ask(route, '127.0.0.2')).not.toMatch(/^(403|5(?!03 tenant_suspended))/)
    }
    const others = routes
      .map(({ method, path }) => `${method} ${path}`)
      .filter((name) => !refusing.includes(name))
    expect(others.sort()).toEqual(WITHOUT_PLATFORM)
  })
})

/** Sends a request from an address of this machine. */
async function send(asked: Request, localAddress: string): Promise<string> {
  const body = Buffer.from(await asked.arrayBuffer())
  const headers = { ...Object.fromEntries(asked.headers), connection: 'close' }
  return new Promise((resolve, reject) => {
    const sent = request(asked.url, { method: asked.method, headers, localAddress }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      answer.on('error', reject)
      answer.on('end', () => {
        const { statusCode: status, headers } = answer
        const type = headers['content-type'] ?? ''
        resolve(outcome(new Response(text, { status: status!, headers: { 'content-type': type } })))
      })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}
