import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadRoutes } from '../lib/http/routes.ts'
import { afterTest } from './helpers/after-test.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  PROJECT,
  startTestGateway,
  type TestGateway,
} from './helpers/gateway.ts'
import { eventually, freePort, gatewayEnvironment, startProgram } from './helpers/process.ts'

/** The code of an endpoint that answers with the value of an expression. */
function answering(expression: string, meta = '{}'): string {
  return `
    import { defineHandler, getRouterParam } from 'h3'
    import { GatewayError } from '../lib/errors.ts'
    export default defineHandler({ meta: ${meta}, handler: (event) => (${expression}) })
  `
}

/**
 * A folder in the project with handlers/ as it is, and beside it what handlers import. Node finds
 * packages from the folder's own place, so it is not among the system's temporary ones.
 */
async function copyHandlers(): Promise<string> {
  const folder = await mkdtemp(join(PROJECT, 'test-routes-'))
  await cp(join(PROJECT, 'handlers'), join(folder, 'handlers'), { recursive: true })
  await symlink(join(PROJECT, 'lib'), join(folder, 'lib'))
  return folder
}

async function add(handlers: string, path: string, code: string): Promise<void> {
  const file = join(handlers, path)
  await mkdir(dirname(file), { recursive: true })
  // A file of a folder further down imports from further up.
  const up = '../'.repeat(path.split('/').length)
  await writeFile(file, code.replaceAll("'../lib/", `'${up}lib/`))
}

describe('a file in handlers/', () => {
  let folder: string
  let gateway: TestGateway

  beforeAll(async () => {
    folder = await copyHandlers()
    const files: Record<string, string> = {
      'anything.get.ts': answering(`({ anything: event.url.searchParams.get('q') })`),
      'thing/[id].post.ts': answering('event.context.params'),
      'thing/[name].get.ts': answering(`({ name: getRouterParam(event, 'name') })`),
      'thing/index.get.ts': answering(`'all things'`),
      'thing/special.get.ts': answering(`'a special thing'`),
      'platform/[platform]/schema.post.ts': answering('event.context.params'),
      'files/[...rest].get.ts': answering(`({ rest: getRouterParam(event, 'rest') })`),
      'index.get.ts': answering(`'the root'`),
      'javascript.get.js': answering(`'not TypeScript'`),
      'refuse.delete.ts': answering(`(() => { throw new GatewayError('name_conflict', 'No') })()`),
      'break.get.ts': answering(`(() => { throw new Error('a secret') })()`),
      'open.get.ts': answering(`'open'`, `{ access: 'public' }`),
      'locked.get.ts': answering(`'unlocked'`, `{ access: 'admin' }`),
      'admin/index.get.ts': answering(`'the office'`, `{ access: 'public' }`),
      'admin/deep/[id].get.ts': answering(`'the safe'`, `{ access: 'public' }`),
      'admin/more/[...rest].get.ts': answering(`'more'`, `{ access: 'network' }`),
      'README.md': 'No endpoint',
      'types.get.d.ts': 'export {}',
      'notes.get': 'None either',
      'anything.get.ts~': 'nor this',
    }
    const handlers = join(folder, 'handlers')
    for (const [path, code] of Object.entries(files)) await add(handlers, path, code)
    gateway = await startTestGateway({ ADMIN_TOKEN: 'token' }, handlers)
  })
  afterAll(async () => {
    await gateway?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const request = async (method: string, path: string) => {
    const response = await fetch(gateway.url + path, { method })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text }
  }

  it('is an endpoint by its name', async () => {
    expect(await gateway.get('/anything?q=1')).toMatchObject({
      status: 200,
      body: { anything: '1' },
    })
    expect(await gateway.get('/javascript')).toMatchObject({ body: 'not TypeScript' })
  })

  it('has parameters where its name or that of a folder is in brackets', async () => {
    expect((await gateway.post('/thing/7', {})).body).toEqual({ id: '7' })
    expect((await gateway.get('/thing/seven')).body).toEqual({ name: 'seven' })
    expect((await gateway.post('/platform/shop/schema', {})).body).toEqual({ platform: 'shop' })
  })

  it('stands before one with a parameter', async () => {
    expect((await gateway.get('/thing/special')).body).toBe('a special thing')
  })

  it('is its folder where its name is index', async () => {
    expect((await gateway.get('/')).body).toBe('the root')
    expect((await gateway.get('/thing')).body).toBe('all things')
  })

  it('is all that is below its folder where its name is [...rest]', async () => {
    expect((await gateway.get('/files/a')).body).toEqual({ rest: 'a' })
    expect((await gateway.get('/files/a/b/c.txt')).body).toEqual({ rest: 'a/b/c.txt' })
    expect(await gateway.get('/anything/else')).toMatchObject({ status: 404 })
  })

  it('refuses with a GatewayError, and tells nothing of any other error', async () => {
    const refused = await request('DELETE', '/refuse')
    expect(refused.status).toBe(409)
    expect(JSON.parse(refused.text)).toEqual({ error: 'name_conflict', message: 'No' })

    const broken = await gateway.get('/break')
    expect(broken).toMatchObject({ status: 500, body: { error: 'internal_error' } })
    expect(JSON.stringify(broken.body)).not.toContain('secret')
    expect(gateway.logged).toContainEqual(
      expect.objectContaining({
        level: 'error',
        request_id: broken.body.request_id,
        error: expect.stringContaining('a secret'),
      }),
    )
  })

  it.each(['/anything', '/thing/seven', '/health'])(
    'answers HEAD as GET, without a body: %s',
    async (path) => {
      const [get, head] = [await request('GET', path), await request('HEAD', path)]

      expect(head.status).toBe(200)
      expect(head.text).toBe('')
      expect(head.headers.get('content-type')).toBe(get.headers.get('content-type'))
      expect(head.headers.has('x-request-id')).toBe(true)
    },
  )

  it.each([
    ['/anything', 'GET, HEAD, OPTIONS'],
    ['/register', 'POST, OPTIONS'],
    ['/thing/7', 'GET, HEAD, POST, OPTIONS'],
    ['/thing/special', 'GET, HEAD, POST, OPTIONS'],
    ['/files/a/b', 'GET, HEAD, OPTIONS'],
  ])('tells its methods: %s takes %s', async (path, methods) => {
    const sorted = (list: string | null) => list?.split(', ').sort()

    const options = await request('OPTIONS', path)
    expect({ status: options.status, text: options.text }).toEqual({ status: 204, text: '' })
    expect(sorted(options.headers.get('allow'))).toEqual(sorted(methods))

    const wrong = await request('PATCH', path)
    expect(wrong.status).toBe(405)
    expect(sorted(wrong.headers.get('allow'))).toEqual(sorted(methods))
    expect(wrong.headers.get('content-type')).toMatch(/^application\/json/)
    expect(JSON.parse(wrong.text)).toMatchObject({
      error: 'method_not_allowed',
      message: expect.stringContaining('PATCH'),
    })
  })

  it.each(['/nowhere', '/README.md', '/notes', '/Anything'])(
    'is missing: %s is 404',
    async (path) => {
      const { status, headers, text } = await request('GET', path)

      expect(status).toBe(404)
      expect(headers.get('content-type')).toMatch(/^application\/json/)
      expect(JSON.parse(text)).toMatchObject({
        error: 'not_found',
        message: expect.stringContaining(path),
      })
    },
  )

  it('is missing below admin/ only for those who have the admin token', async () => {
    expect(await gateway.get('/admin/nowhere')).toMatchObject({ status: 401 })
    expect(await gateway.post('/admin/databases', {})).toMatchObject({ status: 401 })
    const authorization = 'Bearer token'
    expect(await gateway.get('/admin/nowhere', { authorization })).toMatchObject({
      status: 404,
      body: { error: 'not_found', message: expect.stringContaining('/admin/nowhere') },
    })
    expect(await gateway.post('/admin/databases', {}, { authorization })).toMatchObject({
      status: 405,
    })
  })

  it.each(['/admin', '/admin/deep/1', '/admin/more/a/b', '/admin/databases?platform=a', '/locked'])(
    'needs the admin token below admin/, or where it says so: %s',
    async (path) => {
      const without = await gateway.get(path)
      expect(without).toMatchObject({ status: 401, body: { error: 'unauthorized' } })
      expect(without.headers.get('www-authenticate')).toBe('Bearer')
      expect(await gateway.get(path, { authorization: 'Bearer wrong' })).toMatchObject({
        status: 401,
      })
      expect(await gateway.get(path, { authorization: 'Bearer token' })).toMatchObject({
        status: 200,
      })
      expect(await gateway.get('/open')).toMatchObject({ status: 200, body: 'open' })
    },
  )
})

describe('the start fails with one line that names the file', () => {
  const good = answering('1')

  it.each<[what: string, files: Record<string, string>, message: string]>([
    ['a name without a method', { 'Foo.ts': good }, 'handlers/Foo.ts: not the name of an endpoint'],
    ['a space', { 'a b.get.ts': good }, 'handlers/a b.get.ts: not the name of an endpoint'],
    [
      'an unknown method',
      { 'x.fetch.ts': good },
      'handlers/x.fetch.ts: not the name of an endpoint',
    ],
    ['half a bracket', { '[id.get.ts': good }, 'handlers/[id.get.ts: not the name of an endpoint'],
    [
      'a folder of such a name',
      { 'a b/c.get.ts': good },
      'handlers/a b/c.get.ts: not the name of an endpoint',
    ],
    [
      'no default export',
      { 'x.get.ts': 'export const x = 1' },
      'handlers/x.get.ts: its default export is not a handler',
    ],
    [
      'a default export that is no function',
      { 'x.get.ts': 'export default { x: 1 }' },
      'handlers/x.get.ts: its default export is not a handler',
    ],
    [
      'code that throws',
      { 'x.get.ts': `throw new Error('not today')` },
      'handlers/x.get.ts: cannot be loaded: not today',
    ],
    [
      'code that does not parse',
      { 'x.get.ts': 'export default (' },
      'handlers/x.get.ts: cannot be loaded: ',
    ],
    [
      'an import of nothing',
      { 'x.get.ts': `import './nothing.ts'` },
      'handlers/x.get.ts: cannot be loaded: ',
    ],
    [
      'an unknown access',
      { 'x.get.ts': answering('1', `{ access: 'all' }`) },
      'handlers/x.get.ts: meta.access is "all"',
    ],
    [
      'two files for one route',
      { 'x.get.js': good, 'x.get.ts': good },
      'handlers/x.get.ts: GET /x is also handlers/x.get.js',
    ],
    [
      'a folder and a file for one route',
      { 'x.get.ts': good, 'x/index.get.ts': good },
      'handlers/x/index.get.ts: GET /x is also handlers/x.get.ts',
    ],
    [
      'two parameters for one route',
      { '[id].get.ts': good, '[name].get.ts': good },
      'handlers/[name].get.ts: GET /:name is also handlers/[id].get.ts',
    ],
  ])('%s', async (_, files, message) => {
    const folder = await mkdtemp(join(PROJECT, 'test-routes-'))
    afterTest(() => rm(folder, { recursive: true, force: true }))
    await symlink(join(PROJECT, 'lib'), join(folder, 'lib'))
    for (const [path, code] of Object.entries(files))
      await add(join(folder, 'handlers'), path, code)

    const error = await loadRoutes(join(folder, 'handlers')).catch((error) => error)

    expect(error).toBeInstanceOf(Error)
    expect(error.message).toMatch(/^.*$/)
    expect(error.message.slice(0, message.length)).toBe(message)
  })
})

describe('npm run dev', () => {
  it('starts again by itself when a file comes to handlers/, and when one changes', async () => {
    const folder = await mkdtemp(join(PROJECT, 'test-routes-'))
    afterTest(() => rm(folder, { recursive: true, force: true }))
    for (const name of ['server.ts', 'package.json', 'tsconfig.json', 'lib', 'handlers']) {
      await cp(join(PROJECT, name), join(folder, name), { recursive: true })
    }
    await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
    const url = await createAdminDatabase()
    afterTest(() => dropAdminDatabase(url))
    const port = await freePort()
    const dev = startProgram('npm', ['run', 'dev'], {
      cwd: folder,
      env: gatewayEnvironment({ DATABASE_URL: url, GATEWAY_PORT: `${port}` }),
      group: true,
    })
    await dev.line('Listening on')
    const handlers = join(folder, 'handlers')
    const answers = (path: string, text: string) =>
      eventually(`${path} answers "${text}"`, async () => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
        return response?.status === 200 && (await response.text()) === text
      })

    await add(handlers, 'fresh.get.ts', answering(`'new'`))
    await answers('/fresh', 'new')
    await add(handlers, 'fresh.get.ts', answering(`'changed'`))
    await answers('/fresh', 'changed')
    await add(handlers, 'folder/[id].get.ts', answering(`event.context.params.id`))
    await answers('/folder/below', 'below')
  })
})
