import { H3, type H3Event, type HTTPMethod } from 'h3'
import { describe, expect, test } from 'vitest'
import { RouteTable } from '../../../lib/http/route-table.ts'
import type { Json } from '../../helpers/gateway.ts'

const ROUTES = [
  'GET /',
  'POST /call',
  'GET /call',
  'GET /call/:platform/:function',
  'GET /call/:platform/:tenant/:function',
  'GET /call/fixed/:function',
  'GET /thing',
  'GET /thing/special',
  'GET /thing/:name',
  'POST /thing/:id',
  'GET /files/**:rest',
  'GET /files/readme',
  'GET /:any/below',
  'GET /admin/databases',
  'POST /:a/:b/:c/:d',
  'POST /admin/:id/x/:y',
].map((line) => {
  const [method = '', path = ''] = line.split(' ')
  return { method, path }
})
const OTHERS = ['/**', '/admin/**']

const SEGMENTS = [
  'call',
  'thing',
  'special',
  'fixed',
  'files',
  'readme',
  'admin',
  'below',
  'a-b',
  '_',
]

/** All paths of up to four of these segments, some of them with a query or a slash at the end. */
function* paths(prefix = '', depth = 0): Generator<string> {
  yield prefix === '' ? '/' : prefix
  if (prefix !== '') yield `${prefix}?q=/x`
  if (prefix !== '') yield `${prefix}/`
  if (depth === 4) return
  for (const segment of SEGMENTS.slice(0, depth < 2 ? SEGMENTS.length : 4)) {
    yield* paths(`${prefix}/${segment}`, depth + 1)
  }
}

/** What h3 finds: the route's method and path, and its parameters. */
function createOracle() {
  const app = new H3()
  const told = (name: string) => (event: H3Event) => ({ name, params: event.context.params })
  for (const { method, path } of ROUTES) {
    app.on(method as HTTPMethod, path, told(`${method} ${path}`))
  }
  for (const path of OTHERS) app.all(path, told('others'))
  return async (method: string, path: string): Promise<Json> =>
    (await app.request(path, { method })).json()
}

describe('the table of routes', () => {
  const table = new RouteTable(ROUTES, OTHERS)

  test('finds what h3 finds, or leaves it to h3', async () => {
    const ask = createOracle()
    const found = new Set<string>()
    const wrong: unknown[] = []
    for (const path of [...paths(), '/admin/databases', '/admin/7/x/8', '/admin/7/y/8']) {
      for (const method of ['GET', 'POST', 'PUT']) {
        const match = table.find(method, path)
        if (!match) continue
        const { name, params } = await ask(method, path)
        const own = `${match.route.method} ${match.route.path}`
        found.add(own)
        const isSame = name === own && JSON.stringify(params) === JSON.stringify(match.params)
        if (!isSame) wrong.push({ method, path, own, name, params, match })
      }
    }
    expect(wrong).toEqual([])
    // All but those beside a wildcard and the root.
    const left = ['GET /', 'GET /files/**:rest']
    const all = ROUTES.map(({ method, path }) => `${method} ${path}`)
    expect(all.filter((name) => !found.has(name))).toEqual(left)
  })

  test.each([
    ['POST', '/call', '/call'],
    ['POST', '/call?x=1', '/call'],
    ['GET', '/call/p/f', '/call/:platform/:function'],
  ])('%s %s is found without h3', (method, path, route) => {
    expect(table.find(method, path)?.route.path).toBe(route)
  })

  test.each([
    ['HEAD', '/call'],
    ['OPTIONS', '/call'],
    ['GET', '/thing/%41'],
    ['GET', '/thing/a.b'],
    ['GET', '/thing//x'],
    ['GET', '/thing/..'],
    ['GET', 'http://other/thing/x'],
    ['GET', '*'],
    ['GET', '/thing/x/'],
    ['GET', '/files/a'],
    ['GET', '/admin/nowhere'],
  ])('%s %s is left to h3', (method, path) => {
    expect(table.find(method, path)).toBeUndefined()
  })
})
