import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { startOneGateway } from '../helpers/for-file.ts'
import type { Json } from '../helpers/gateway.ts'

const TOKEN = 'the-token-of-the-console'
const ADMIN = '10.0.9.9'
const OTHER = '10.0.1.5'

const gateway = await startOneGateway({
  ADMIN_TOKEN: TOKEN,
  ALLOWED_NETWORKS: '10.0.1.0/24,10.0.9.0/24',
  ADMIN_NETWORKS: '10.0.9.0/24',
  TRUSTED_PROXIES: '127.0.0.1',
})
const get = (path: string, headers: Record<string, string> = {}) =>
  fetch(gateway.url + path, { headers: { 'x-forwarded-for': ADMIN, ...headers } })
const html = await (await get('/console')).text()
const [folder] = /\/console\/\w{16}\//.exec(html)!

describe('the console', () => {
  test('is for addresses of administrators, and its files need no token', async () => {
    expect((await get('/console')).status).toBe(200)
    expect((await get(`${folder}app.js`)).status).toBe(200)
    for (const path of ['/console', `${folder}app.js`, `${folder}components/table.js`]) {
      const refused = await get(path, { 'x-forwarded-for': OTHER })
      expect([path, refused.status]).toEqual([path, 403])
      expect(((await refused.json()) as Json).error).toBe('unauthorized')
    }
    // What it shows needs the token.
    expect((await get('/admin/platforms')).status).toBe(401)
    expect(html).not.toContain(TOKEN)
  })

  test('runs files of the gateway alone: the policy names the hash of the import map', async () => {
    const response = await get('/console')
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    const policy = response.headers.get('content-security-policy')!
    const [, map] = /<script type="importmap">([^<]*)<\/script>/.exec(html)!
    const hash = createHash('sha256').update(map!).digest('base64')
    expect(policy).toContain(
      `default-src 'none'; script-src 'self' 'sha256-${hash}'; style-src 'self'`,
    )
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).toContain("require-trusted-types-for 'script'; trusted-types 'none'")
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:|https?:/)
  })

  test('is asked for again before each use, its files never', async () => {
    const first = await get('/console')
    const again = await get('/console', { 'if-none-match': first.headers.get('etag')! })
    expect([again.status, await again.text()]).toEqual([304, ''])
    expect(first.headers.get('cache-control')).toBe('private, no-cache')

    // Each file that another one loads is there, by its own path or by the import map.
    const { imports } = JSON.parse(/<script type="importmap">([^<]*)</.exec(html)![1]!)
    const loaded = new Set([...html.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, url]) => url!))
    for (const url of Object.values<string>(imports)) loaded.add(url)
    for (const url of loaded) {
      const response = await get(url)
      expect([url, response.status]).toEqual([url, 200])
      expect(url.startsWith(folder)).toBe(true)
      expect(response.headers.get('cache-control')).toBe('private, max-age=31536000, immutable')
      const text = await response.text()
      expect(text).not.toContain('sourceMappingURL')
      if (url.startsWith(`${folder}modules/`)) continue
      expect(text).not.toMatch(/innerHTML|insertAdjacentHTML|eval\(|https?:\/\/(?!www\.w3\.org)/)
      for (const [, name] of text.matchAll(/(?:from|import\() ?'([^']+)'/g)) {
        const path = name!.startsWith('.')
          ? new URL(name!, `http://x${url}`).pathname
          : imports[name!]
        expect(path, `${url} loads ${name}`).toBeDefined()
        loaded.add(path)
      }
    }
    expect(loaded.size).toBeGreaterThan(25)
  })

  test('is opened by a link of another site, which reads nothing', async () => {
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
    for (const [path, dest, status] of [
      ['/console', 'document', 200],
      ['/console', 'iframe', 403],
      ['/docs', 'document', 200],
      ['/admin/platforms', 'document', 403],
    ] as const) {
      const headers = { ...link, 'sec-fetch-dest': dest, authorization: `Bearer ${TOKEN}` }
      expect([path, dest, (await get(path, headers)).status]).toEqual([path, dest, status])
    }
  })

  test('has no other files', async () => {
    for (const path of [
      `${folder}tsconfig.json`,
      `${folder}index.html`,
      `${folder}..%2fpackage.json`,
      `${folder}constructor`,
      `${folder}pages/constructor`,
      '/console/0123456789abcdef/app.js',
    ]) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
    expect((await get('/console?x=1')).status).toBe(400)
  })
})
