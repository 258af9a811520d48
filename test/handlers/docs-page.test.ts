import type { Browser, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findBrowser, startBrowser } from '../helpers/browser.ts'
import {
  type Json,
  PROJECT,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { ODD_NAMES, pack } from '../helpers/platforms.ts'

const TOKEN = 'the-token-of-the-page'
const platform = uniqueName('page')

const FILES = {
  ...ODD_NAMES,
  'migrations/001_moods.pssql': `
    create type mood as enum ('good', 'bad');
    create table notes (note text);`,
  'functions/all.pssql': `
    create or replace function echo(p_big bigint, p_text text default 'none', p_mood mood default 'bad',
      p_flag boolean default true, p_json jsonb default '{}')
    returns table (o_big bigint, o_text text, o_mood mood, o_flag boolean, o_json jsonb)
    language sql immutable as $$ select p_big, p_text, p_mood, p_flag, p_json $$;
    comment on function echo is '<img src=x onerror="document.title = 1"> gives back what it gets.
@param p_big Any \`bigint\`
@column o_text <b>The text</b>';
    create or replace function refuse(p_why text) returns int language plpgsql immutable as $$ begin
      raise exception 'No: %', p_why using errcode = 'PT409', hint = 'Ask another'; end $$;
    comment on function refuse is 'Always fails.
@error PT409 Always';
    create or replace function add_all(int, variadic int[]) returns bigint language sql immutable
    as $$ select $1 + sum(n) from unnest($2) n $$;
    create or replace function search() returns text language sql stable as $$ select current_database()::text $$;`,
}

const path = findBrowser()
let gateway: TestGateway
let browser: Browser | undefined
beforeAll(async () => {
  ;[gateway, browser] = await Promise.all([
    startTestGateway({ ADMIN_TOKEN: TOKEN }),
    path === undefined ? undefined : startBrowser(path),
  ])
  const archive = await pack(FILES)
  for (const tenant of [undefined, 'north']) {
    const { status, body } = await gateway.register(platform, archive, tenant)
    expect(status, JSON.stringify(body)).toBe(200)
  }
})
afterAll(async () => {
  await browser?.close()
  await gateway.stop()
})

describe('the page', () => {
  const get = (path: string, headers = {}) => fetch(gateway.url + path, { headers })

  test('has no script or style of its own, and says that it may have none', async () => {
    const response = await get('/docs')
    const html = await response.text()
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(html).not.toMatch(/<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]* src="\/docs\/)/i)
    const policy = response.headers.get('content-security-policy')!
    expect(policy).toContain("default-src 'none'; script-src 'self';")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toMatch(/unsafe|\*|https?:/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    const again = await get('/docs', { 'if-none-match': response.headers.get('etag')! })
    expect([again.status, await again.text()]).toEqual([304, ''])
    expect((await get('/docs?x=1')).status).toBe(400)
  })

  test('loads files of the gateway alone, which browsers keep', async () => {
    const html = await (await get('/docs')).text()
    const loaded = new Set(
      [...html.matchAll(/(?:src|href)="([^"#]+)"/g)]
        .map(([, url]) => url!)
        .filter((url) => url !== '/openapi.json'),
    )
    for (const url of loaded) {
      expect(url).toMatch(/^\/docs\/[0-9a-f]{16}\/[\w-]+\.(js|css|svg)$/)
      const response = await get(url)
      expect([url, response.status]).toEqual([url, 200])
      expect(response.headers.get('cache-control')).toBe('private, max-age=31536000, immutable')
      const text = await response.text()
      expect(text).not.toMatch(/innerHTML|insertAdjacentHTML|eval\(|https?:\/\/(?!www\.w3\.org)/)
      for (const [, name] of text.matchAll(/from '\.\/([\w-]+\.js)'/g)) {
        loaded.add(url.replace(/[^/]+$/, name!))
      }
    }
    expect(loaded.size).toBeGreaterThan(8)
  })

  test('has no other files', async () => {
    const html = await (await get('/docs')).text()
    const [folder] = /\/docs\/\w{16}\//.exec(html)!
    for (const path of [
      `${folder}tsconfig.json`,
      `${folder}index.html`,
      `${folder}..%2fpage-files.ts`,
      `${folder}constructor`,
      '/docs/0123456789abcdef/main.js',
    ]) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
  })
})

test('the page reads every digit, whatever the browser', async () => {
  const { parseExactly } = await import(`${PROJECT}/lib/docs-page/page/requests.js`)
  const text = '{"a":[9007199254740993,1.10,-0,1e3,7],"b":"5 \\"1.10\\" 6","c":null}'
  expect(parseExactly(text)).toEqual({
    a: ['9007199254740993', '1.10', '-0', '1e3', 7],
    b: '5 "1.10" 6',
    c: null,
  })
  expect(parseExactly('502 Bad Gateway')).toBeUndefined()
})

describe.skipIf(path === undefined)('the page in a browser', () => {
  /** What a page may not write to its console, of all pages. */
  const complaints: string[] = []
  /** The page of an administrator, whose phone is dark. */
  let admin: Page

  beforeAll(async () => {
    const phone = { viewport: { width: 360, height: 640 }, colorScheme: 'dark' as const }
    admin = await open(`#platform=${platform}&open=echo`, phone)
  })

  const open = async (hash: string, options: BrowserContextOptions = {}): Promise<Page> => {
    const page = await (await browser!.newContext(options)).newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // A browser writes a line for each answer that is an error.
      const isAnswer = message.text().startsWith('Failed to load resource')
      if (message.type() === 'error' && !isAnswer) complaints.push(message.text())
    })
    await page.goto(`${gateway.url}/docs${hash}`)
    await page.getByRole('status').filter({ hasText: /\d/ }).waitFor()
    return page
  }
  const itemOf = (name: string) => admin.locator(`details[data-name="${name}"]`)
  const openItem = async (name: string) => {
    await itemOf(name).locator('summary').first().click()
    return itemOf(name)
  }
  /** Calls, and returns the cells of the answer's table. */
  const call = async (item: Locator) => {
    await item.getByRole('button', { name: 'Call' }).click()
    return cells(item)
  }
  const cells = async (item: Locator) => {
    await item.locator('.answer table').waitFor()
    return item.locator('.answer td').allTextContents()
  }
  const lightness = () =>
    admin.locator('body').evaluate((body: Json) => {
      const { backgroundColor } = body.ownerDocument.defaultView.getComputedStyle(body)
      return Number(backgroundColor.match(/\d+/)[0])
    })

  test('lists every endpoint, and finds by words', async () => {
    const page = await open('')
    const { paths } = (await gateway.get('/openapi.json')).body
    const count = Object.values<object>(paths).flatMap((one) => Object.keys(one)).length
    const status = page.getByRole('status')
    expect(await status.textContent()).toBe(`${count} endpoints`)
    await page.keyboard.press('/')
    await page.keyboard.type('drop tenant')
    expect(await status.textContent()).toMatch(/^\d of \d+ endpoints$/)
    const found = await page.locator('details.item:visible .name').allTextContents()
    expect(found).toContain('/admin/drop-tenant')
    await page.keyboard.press('Escape')
    expect(await status.textContent()).toBe(`${count} endpoints`)
    await page.context().close()
  })

  test('describes functions to everybody, and has forms for administrators', async () => {
    const item = itemOf('echo')
    await item.getByText('o_json').first().waitFor()
    expect(await item.locator('form').count()).toBe(0)
    expect(await item.locator('summary').first().textContent()).toContain(
      'echo(p_big bigint, p_text text, p_mood mood, p_flag boolean, p_json jsonb)',
    )
    const enter = async (token: string) => {
      await admin.getByLabel('Admin token').fill(token)
      await admin.getByRole('button', { name: 'Use' }).click()
    }
    await enter('wrong')
    await admin.getByText('The token is not right').waitFor()
    await enter(TOKEN)
    await item.locator('form').waitFor()
    const known = await admin.getByLabel('Show').locator('option').allTextContents()
    expect(known).toContain(platform)
    // It is in no storage of the browser.
    const kept = await admin
      .locator('body')
      .evaluate((body: Json) => JSON.stringify({ ...body.ownerDocument.defaultView.localStorage }))
    expect(kept).not.toContain(TOKEN)
    expect(await admin.context().cookies()).toEqual([])
    expect(admin.url()).not.toContain(TOKEN)
  })

  test('makes no markup of names and comments', async () => {
    expect(await itemOf('echo').textContent()).toContain('<img src=x onerror=')
    expect(await admin.locator('main').locator('img, b, i').count()).toBe(0)
    expect(await admin.title()).toBe('Database Gateway')
  })

  test('calls a function with values, null and defaults, and loses no digit', async () => {
    const item = itemOf('echo')
    await item.getByLabel(/^p_big/).fill('9007199254740993')
    await item.getByLabel('What is sent as p_text').selectOption('null')
    await item.getByLabel(/^p_mood/).selectOption('good')
    await item.getByLabel(/^p_json/).fill('{"a": 1.10}')
    expect(await call(item)).toEqual(['9007199254740993', 'null', 'good', 'true', '{"a":"1.10"}'])
    expect(await item.locator('.fold pre').first().textContent()).toContain('"o_json":{"a": 1.10}')

    await item.getByLabel(/^p_json/).fill('{')
    await item.getByRole('button', { name: 'Call' }).click()
    await item.getByText(/p_json is not JSON/).waitFor()
  })

  test('fits a phone, light and dark, and each control has a name', async () => {
    const item = itemOf('echo')
    await item.getByLabel(/^p_json/).fill(JSON.stringify({ long: 'x'.repeat(300) }))
    expect((await call(item)).at(-1)).toHaveLength(311)
    const width = await admin.locator('html').evaluate((html: Json) => html.scrollWidth)
    expect(width).toBeLessThanOrEqual(360)
    expect(await lightness()).toBeLessThan(60)
    await admin.getByLabel('Theme').selectOption('light')
    expect(await lightness()).toBeGreaterThan(200)

    const nameless = await admin
      .locator('input, select, textarea')
      .evaluateAll((all: Json[]) =>
        all
          .filter((one) => !one.labels?.length && !one.getAttribute('aria-label'))
          .map((one) => one.outerHTML),
      )
    expect(nameless).toEqual([])
  })

  test('calls by position, and the database of a tenant', async () => {
    const item = await openItem('add_all')
    await item.getByLabel(/^\$1/).fill('1')
    await item.getByLabel(/^further/).fill('[2, 3]')
    expect(await call(item)).toEqual(['6'])
    await admin.getByLabel('Tenant').fill('north')
    // An item with the name of an element of the page.
    expect(await call(await openItem('search'))).toEqual([`${platform}_north`])
  })

  test('needs no mouse, and shows what an error says', async () => {
    await admin.locator('body').press('/')
    await admin.keyboard.type('refuse')
    const summary = itemOf('refuse').locator('summary').first()
    const isFocused = () => summary.and(admin.locator(':focus')).count()
    for (let i = 0; i < 12 && !(await isFocused()); i++) await admin.keyboard.press('Tab')
    await admin.keyboard.press('Enter')
    await itemOf('refuse').getByRole('button', { name: 'Call' }).waitFor()
    await admin.keyboard.press('Tab')
    await admin.keyboard.press('Tab')
    await admin.keyboard.type('<i>because</i>')
    await admin.keyboard.press('Enter')
    const shown = await cells(itemOf('refuse'))
    expect(shown).toContain('PT409')
    expect(shown).toContain('Ask another')
    expect(shown.join()).toContain('No: <i>because</i>')
    const failed = await itemOf('refuse').locator('.answer .failed').textContent()
    expect(failed).toMatch(/^409 in \d+ ms, request /)
    expect(admin.url()).toContain('open=refuse')
  })

  test('the theme lasts, and nothing was wrong in the console', async () => {
    await admin.reload()
    await admin.getByRole('status').filter({ hasText: 'functions' }).waitFor()
    expect(await lightness()).toBeGreaterThan(200)
    expect(complaints).toEqual([])
  })
})
