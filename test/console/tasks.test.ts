import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { findBarriers } from '../helpers/axe.ts'
import { findBrowser, startBrowser } from '../helpers/browser.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { type Json, uniqueName } from '../helpers/gateway.ts'
import { type Files, NOTES, pack } from '../helpers/platforms.ts'
import { takeScreenshot, writesScreenshots } from '../helpers/screenshots.ts'

const TOKEN = 'the-token-of-the-console'
const DESK = { width: 1200, height: 800 }
const PHONE = { width: 360, height: 740 }
/** Pictures of the docs have a name that a person would choose. */
const platform = writesScreenshots ? 'clinic' : uniqueName('clinic')
const TENANTS = ['east', 'north', 'south']

const FIRST: Files = {
  ...NOTES,
  'functions/monthly_report.pssql': `
    create or replace function monthly_report() returns bigint language sql stable
    as $$ select count(*) from notes, pg_sleep(0.25) $$;`,
  'functions/book.pssql': `
    create or replace function book(patient text, day date default '2026-12-01') returns text language plpgsql
    as $$ begin lock table notes in share mode; perform pg_sleep(60); return patient; end $$;`,
}
/** It fails where a text is there twice. */
const SECOND: Files = {
  ...FIRST,
  'migrations/002_unique.pssql': `-- Each text once
    alter table notes add constraint each_text_once unique (text);`,
}
const THIRD: Files = {
  ...SECOND,
  'migrations/003_index.pssql': 'create index notes_by_text on notes (text); select pg_sleep(0.3);',
}

const path = findBrowser()
const gateway = await startOneGateway({ ADMIN_TOKEN: TOKEN, SLOW_CALL_MS: '200' })
const headers = { authorization: `Bearer ${TOKEN}` }

describe.skipIf(path === undefined)('what a person does in the console', () => {
  /** What a page may not write to its console. */
  const complaints: string[] = []
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    browser = await startBrowser(path!)
    const archive = await pack(FIRST)
    for (const tenant of [undefined, ...TENANTS]) await gateway.register(platform, archive, tenant)
    for (const key of [1, 2]) await gateway.call(platform, 'add_note', { key }, 'south')
    for (let i = 0; i < 3; i++) await gateway.call(platform, 'monthly_report', {}, 'north')
    for (let i = 0; i < 10; i++) await gateway.call(platform, 'ping', {}, 'east')
    await gateway.migrate(platform, await pack(SECOND), undefined, { on_error: 'continue' })
    page = await (await browser.newContext({ viewport: DESK, colorScheme: 'light' })).newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // A browser writes a line for each answer that is an error.
      const isAnswer = message.text().startsWith('Failed to load resource')
      if (message.type() === 'error' && !isAnswer) complaints.push(message.text())
    })
    await page.goto(`${gateway.url}/console`)
    await page.getByRole('textbox', { name: 'Admin token' }).fill(TOKEN)
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: platform }).waitFor()
  })
  afterAll(() => browser?.close())
  // A task that fails leaves no dialog to the next.
  afterEach(async ({ task }) => {
    if (task.result?.state !== 'fail') return
    for (let i = 0; i < 3; i++) await page.keyboard.press('Escape')
  })

  const button = (name: string | RegExp, within: Page | Locator = page) =>
    within.getByRole('button', { name, exact: typeof name === 'string' })
  const rows = (table: string) =>
    page.getByRole('table', { name: table }).locator('tbody tr:not(.space)')
  const menu = (name: string) =>
    page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name }).click()
  const dialogOf = (name: string | RegExp) => page.getByRole('dialog', { name })
  /** Closes the dialog of a deploy to one database when it is done, after which none has failed. */
  const endsFailures = async (dialog: Locator) => {
    await dialog.getByText(/Done in .*: 1 database\./).waitFor()
    await button('Close', dialog).last().click()
    await page
      .getByRole('group', { name: 'States' })
      .getByText('failed')
      .waitFor({ state: 'detached' })
  }
  /** Looks at the page as it is now: dark on a phone, and light on a desk. */
  const expectNoBarriers = async () => {
    const found: string[] = []
    for (const [colorScheme, viewport] of [
      ['dark', PHONE],
      ['light', DESK],
    ] as const) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize(viewport)
      found.push(
        ...(await findBarriers(page)).map((line) => `${viewport.width} ${colorScheme} ${line}`),
      )
      const width = await page.locator('html').evaluate((html: Json) => html.scrollWidth)
      if (width > viewport.width) found.push(`${width} pixels wide, on ${viewport.width}`)
    }
    expect(found).toEqual([])
  }

  test('finds the tenant that is behind, and why', async () => {
    await expectNoBarriers()
    await page.getByRole('link', { name: 'failed 1' }).click()
    await page.getByText('1 of 4').waitFor()
    expect(await rows('Databases').first().getByRole('rowheader').textContent()).toBe('south')
    await expectNoBarriers()
    await button(/failed/, page.getByRole('group', { name: 'States' })).click()
    await page.getByText('4 of 4').waitFor()
    await takeScreenshot(page, 'console-fleet')
    await page.getByRole('link', { name: 'south' }).click()
    const dialog = dialogOf('south')
    await dialog.getByText('migrations/002_unique.pssql:2').waitFor()
    await dialog
      .getByText(/could not create unique index/)
      .first()
      .waitFor()
    const told = await dialog.getByRole('alert').first().textContent()
    expect(told!.match(/is duplicated/g)).toHaveLength(1)
    await dialog.getByRole('region', { name: 'Source' }).getByText('add constraint').waitFor()
    await dialog.getByText('+    alter table notes add constraint').waitFor()
    await expectNoBarriers()
    await takeScreenshot(page, 'console-tenant')
    await page.keyboard.press('Escape')
  })

  test('tries again what failed, once the reason is gone', async () => {
    await gateway.query(`${platform}_south`, 'delete from notes where id = 2')
    await button('Retry failed (1)…').click()
    const dialog = dialogOf('Retry what failed')
    await button('Show the plan', dialog).click()
    await dialog.getByText('002_unique.pssql').first().waitFor()
    await button('Deploy', dialog).click()
    await endsFailures(dialog)
  })

  test('takes the mended archive to where another one failed, which is not kept', async () => {
    const broken = await pack({ ...SECOND, 'functions/bad.pssql': 'x' })
    expect((await gateway.register(platform, broken, 'east')).status).toBe(422)
    await button('Retry failed (1)…').click()
    const dialog = dialogOf('Retry what failed')
    await dialog.getByText(/^The gateway does not keep/).waitFor()
    await dialog.getByText(/^Choose the file of an archive/).waitFor()
    expect(await button('Show the plan', dialog).isDisabled()).toBe(true)
    const buffer = Buffer.from(await pack(SECOND))
    await dialog
      .getByLabel(/^File/)
      .setInputFiles({ name: 'schema.tar.gz', mimeType: 'application/gzip', buffer })
    await button('Show the plan', dialog).click()
    await button('Deploy', dialog).click()
    await endsFailures(dialog)
  })

  test('deploys: the plan first, then the progress as it is', async () => {
    await button('Deploy…').click()
    const dialog = dialogOf('Deploy')
    await dialog.getByRole('combobox').selectOption({ label: 'a file of this computer' })
    const buffer = Buffer.from(await pack(THIRD))
    await dialog
      .getByLabel(/^File/)
      .setInputFiles({ name: 'schema.tar.gz', mimeType: 'application/gzip', buffer })
    await button('Show the plan', dialog).click()
    await dialog.getByText('003_index.pssql').first().waitFor()
    // What the plan itself was said to do is gone a second later.
    await page.getByRole('region', { name: 'Deploys that run' }).waitFor({ state: 'detached' })
    await takeScreenshot(page, 'console-plan')
    await expectNoBarriers()
    await button('Deploy', dialog).click()
    await dialog.getByText(/^Deploying: \d of 4 databases$/).waitFor()
    await dialog.getByText(/Done in .*: 4 databases\./).waitFor()
    await button('Close', dialog).last().click()
    await menu('Deploys')
    await rows('History').first().getByText('4 databases').waitFor()
    await expectNoBarriers()
    await takeScreenshot(page, 'console-deploys')
  })

  test('finds the slow function, and the calls that were slow', async () => {
    await menu('Functions')
    await rows('Functions').getByText('monthly_report').waitFor()
    await button('p95').click()
    const first = rows('Functions').first()
    expect(await first.getByRole('rowheader').textContent()).toContain('monthly_report')
    expect(await rows('Slow calls').count()).toBeGreaterThanOrEqual(3)
    await page
      .getByRole('img', { name: /^Calls a minute: \d+ in all/ })
      .locator('canvas')
      .waitFor()
    await expectNoBarriers()
    await takeScreenshot(page, 'console-functions')
    await button('monthly_report', rows('Slow calls')).first().click()
    const dialog = dialogOf('A slow call of monthly_report')
    await dialog.getByText(`${platform}_north`).waitFor()
    await page.keyboard.press('Escape')
    await button('monthly_report', first).click()
    await page.getByText('monthly_report alone').waitFor()
    await rows('Functions').getByText('ping').waitFor({ state: 'detached' })
    await rows('Functions').getByText('monthly_report').waitFor()
  })

  test('tries a function, and is warned of one that may write', async () => {
    await button('Try one…').click()
    const dialog = dialogOf(`Try a function of ${platform}`)
    const function_ = dialog.getByRole('combobox').first()
    await dialog.getByText('It is declared STABLE').waitFor()
    expect(await function_.inputValue()).toBe('monthly_report')
    await dialog.getByLabel(/^Tenant/).fill('north')
    await button('Use this tenant', dialog).click()
    await function_.selectOption('add_note')
    await dialog.getByText('It may write.').waitFor()
    await dialog.getByLabel(/^key integer, required/).fill('7')
    expect(await button('Call', dialog).isDisabled()).toBe(true)
    await dialog.getByLabel('Call it all the same').check()
    await button('Call', dialog).click()
    await dialog.getByText(/^1 row in/).waitFor()
    await dialog.getByRole('cell', { name: `${platform}_north` }).waitFor()
    await expectNoBarriers()
    await takeScreenshot(page, 'console-try')
    await dialog.getByLabel('Parameters as JSON').check()
    await dialog.getByLabel(/^Parameters: an object/).fill('[7]')
    await button('Call', dialog).click()
    await dialog
      .getByText(/duplicate key value/)
      .first()
      .waitFor()
    await page.keyboard.press('Escape')
  })

  test('sees who waits for whom, and stops a runaway call', async () => {
    const runaway = gateway.call(platform, 'book', { patient: 'Eve' }, 'east')
    await menu('Now')
    const calls = rows('Calls in flight')
    await calls.getByText('book').waitFor()
    // Each of a queue waits for all before it, and is shown once.
    const text = 'begin; lock table notes; commit'
    const waiting = [...Array(8)].map(() => gateway.query(`${platform}_east`, text))
    await page.getByText('8 sessions wait for a lock').waitFor()
    const holder = page.locator('.waits > li')
    expect(await holder.count()).toBe(1)
    const texts = await holder.locator('li').allTextContents()
    expect(texts).toEqual(Array(8).fill(expect.stringContaining('waits for a lock of')))
    await page.getByRole('img', { name: /^Calls and errors a second/ }).waitFor()
    await expectNoBarriers()
    await takeScreenshot(page, 'console-now')
    await button('Cancel…', calls.first()).click()
    await button('Cancel the call', dialogOf('Cancel book?')).click()
    expect((await runaway).body.error).toBe('call_cancelled')
    await page.getByRole('main').getByText('book was cancelled').waitFor()
    await page.getByText('No call runs').waitFor()
    await Promise.all(waiting)
  })

  test('suspends a tenant', async () => {
    await page.goto(`${gateway.url}/console#/fleet?platform=${platform}`)
    await page.getByRole('link', { name: 'east' }).click()
    await button('Suspend…', dialogOf('east')).click()
    const asked = dialogOf('Suspend east')
    await asked.getByLabel('Message to callers').fill('Closed until Monday')
    await takeScreenshot(page, 'console-suspend')
    await button('Suspend', asked).click()
    await dialogOf('east').getByText('Its calls are refused.').waitFor()
    await page.keyboard.press('Escape')
    const { status, body } = await gateway.call(platform, 'ping', {}, 'east')
    expect([status, body.message]).toEqual([503, expect.stringContaining('Closed until Monday')])
  })

  test('reads who did what', async () => {
    await menu('Audit')
    await rows('Entries').getByText('suspend tenant').waitFor()
    await expectNoBarriers()
    await takeScreenshot(page, 'console-audit')
    await page.getByLabel('Action').selectOption('cancel_call')
    await page.getByText('1 entry').waitFor()
    await button('cancel call').click()
    const dialog = dialogOf(`cancel call of ${platform}`)
    await dialog.getByText('POST /admin/cancel-call').waitFor()
    await page.keyboard.press('Escape')
    await page.getByLabel('Action').selectOption('')
    await page.getByLabel('Outcome').selectOption('failed')
    await rows('Entries').getByText('migration_failed').waitFor()
    await page.getByText('2 entries').waitFor()
    // An entry that is new comes by itself.
    await page.getByLabel('Outcome').selectOption('done')
    await gateway.post('/admin/resume-tenant', { platform, tenant_id: 'east' }, headers)
    await rows('Entries').getByText('resume tenant').waitFor()
  })

  test('nothing was wrong in the console of the browser', () => {
    expect(complaints).toEqual([])
  })
})
