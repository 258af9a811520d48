import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findBrowser, startBrowser } from '../helpers/browser.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { type Json, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const TOKEN = 'the-token-of-the-console'
const ROWS = 5000
const platform = uniqueName('fleet')

const path = findBrowser()
const gateway = await startOneGateway({ ADMIN_TOKEN: TOKEN })
const headers = { authorization: `Bearer ${TOKEN}` }

describe.skipIf(path === undefined)('the fleet of 5,000 tenants in a browser', () => {
  /** What a page may not write to its console. */
  const complaints: string[] = []
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    browser = await startBrowser(path!)
    await gateway.register(platform, await pack(textFunction('ping', 'one')), 'behind')
    await gateway.register(platform, await pack(textFunction('ping', 'two')))
    await gateway.query(
      gateway.server.database,
      `insert into _db_gateway_databases (database, platform, tenant_id, labels)
      select '${platform}_t' || n, '${platform}', 't' || n,
        case when n % 100 = 0 then '{"plan": "pro"}' else '{}' end::jsonb
      from generate_series(1, ${ROWS - 2}) n`,
    )
    page = await (await browser.newContext({ viewport: { width: 1200, height: 800 } })).newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // A browser writes a line for each answer that is an error.
      const isAnswer = message.text().startsWith('Failed to load resource')
      if (message.type() === 'error' && !isAnswer) complaints.push(message.text())
    })
  })
  afterAll(async () => {
    await browser?.close()
    await gateway.query(
      gateway.server.database,
      `delete from _db_gateway_databases where database ~ '^${platform}_t\\d+$'`,
    )
  })

  const rows = () => page.locator('table[aria-label="Databases"] tbody tr:not(.space)')
  const first = () => rows().first().getByRole('rowheader').textContent()
  const count = (text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()

  test('asks for the token once, and keeps it nowhere', async () => {
    await page.goto(`${gateway.url}/console#/fleet?platform=${platform}`)
    const field = page.getByRole('textbox', { name: 'Admin token' })
    await field.fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByText('The token is not right').waitFor()
    await field.fill(TOKEN)
    await page.keyboard.press('Enter')
    await count('5,000 of 5,000')
    const kept = await page.locator('body').evaluate((body: Json) => {
      const { localStorage, sessionStorage } = body.ownerDocument.defaultView
      return JSON.stringify([{ ...localStorage }, { ...sessionStorage }])
    })
    expect(kept).not.toContain(TOKEN)
    expect(page.url()).not.toContain(TOKEN)
    expect(await page.context().cookies()).toEqual([])
  })

  test('all come in one answer', async () => {
    const { body } = await gateway.get(`/admin/fleet?platform=${platform}`, headers)
    expect(body.count).toBe(ROWS)
  })

  test('has the rows in view alone in the document, and scrolls to each', async () => {
    expect(await rows().count()).toBeLessThan(80)
    expect(await first()).toBe('main database')
    const table = page.getByRole('table', { name: 'Databases' })
    expect(await table.getAttribute('aria-rowcount')).toBe(String(ROWS + 1))
    const box = page.getByRole('region', { name: 'Databases' })
    await box.evaluate((element: Json) => {
      element.scrollTop = element.scrollHeight
    })
    const last = page.locator(`tr[aria-rowindex="${ROWS + 1}"]`)
    await last.waitFor()
    expect(await last.isVisible()).toBe(true)
    expect(await rows().count()).toBeLessThan(80)
    // Keys scroll too.
    await box.focus()
    await page.keyboard.press('Home')
    await page.getByRole('link', { name: 'main database' }).waitFor()
  })

  test('searches, sorts and filters as fast as one types', async () => {
    const search = page.getByRole('searchbox', { name: 'Search' })
    await search.fill('t4997')
    await count('1 of 5,000')
    expect(await first()).toBe('t4997')
    await search.fill('')
    await page.getByLabel('Label').selectOption('plan:pro')
    await count('49 of 5,000')
    await page.getByLabel('Label').selectOption('')
    await page.getByRole('button', { name: 'Tenant', exact: true }).click()
    await page.locator('th[aria-sort="descending"]').waitFor()
    expect(await first()).toBe(`t${ROWS - 2}`)
    await page.getByRole('group', { name: 'States' }).getByText('pending').click()
    await count('1 of 5,000')
    expect(await first()).toBe('behind')
  })

  test('says why a tenant is behind, by a link that can be sent', async () => {
    await page.getByRole('link', { name: 'behind' }).click()
    const dialog = page.getByRole('dialog', { name: 'behind' })
    await dialog.getByText(/It has the archive \w{8}; the newest is \w{8}/).waitFor()
    await dialog.getByText('completed').waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
    expect(page.url()).toContain('state=pending')
  })

  test('sees what somebody else changes, without a reload', async () => {
    await page.getByText('live', { exact: true }).waitFor()
    const { status } = await gateway.post(
      '/admin/suspend-tenant',
      { platform, tenant_id: 'behind' },
      headers,
    )
    expect(status).toBe(200)
    await page.getByRole('group', { name: 'States' }).getByText('suspended').waitFor()
    await count('0 of 5,000')
  })

  test('opens a tenant in another window, where the browser is asked to', async () => {
    await page.goto(`${gateway.url}/console#/fleet?platform=${platform}`)
    const opened = page.context().waitForEvent('page')
    await page.getByRole('link', { name: 'main database' }).click({ modifiers: ['Control'] })
    expect((await opened).url()).toContain('open=')
    expect(page.url()).not.toContain('open=')
    await (await opened).close()
  })

  test('says what no token has, that there is no page, and for how long there was no answer', async () => {
    const own = await (await browser.newContext()).newPage()
    own.on('pageerror', (error) => complaints.push(error.message))
    await own.clock.install()
    await own.goto(`${gateway.url}/console#/constructor`)
    await own.getByText('There is no page constructor.').waitFor()
    const field = own.getByRole('textbox', { name: 'Admin token' })
    for (const [text, told] of [
      [`\u201c${TOKEN}\u201d`, 'this one has "\u201c" (U+201C)'],
      [`${TOKEN}\u200b`, 'this one has U+200B'],
    ] as const) {
      await field.fill(text)
      await own.keyboard.press('Enter')
      await own.getByText(told).waitFor()
    }
    await field.fill(TOKEN)
    await own.keyboard.press('Enter')
    await own.getByText('live', { exact: true }).waitFor()
    await own.clock.fastForward(14_000)
    await own.getByText(/^no answer for 1\d s$/).waitFor()
    await own.getByText('live', { exact: true }).waitFor()
    await own.context().close()
  })

  test('nothing was wrong in the console of the browser', () => {
    expect(complaints).toEqual([])
  })
})
