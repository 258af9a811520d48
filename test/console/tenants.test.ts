import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findBarriers } from '../helpers/axe.ts'
import { findBrowser, startBrowser } from '../helpers/browser.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { type Json, uniqueName } from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const platform = uniqueName('life')
const path = findBrowser()
const gateway = await startOneGateway()

const FILES = {
  ...textFunction('ping', 'two'),
  'migrations/001_people.pssql': 'create table people (id int);\n\nselect 1 / count(*) from towns;',
}

describe.skipIf(path === undefined)("tenants' life in the console", () => {
  /** What a page may not write to its console. */
  const complaints: string[] = []
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    browser = await startBrowser(path!)
    await gateway.register(platform, await pack(textFunction('ping', 'one')))
    page = await (await browser.newContext({ viewport: { width: 360, height: 740 } })).newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      // A browser writes a line for each answer that is an error.
      const isAnswer = message.text().startsWith('Failed to load resource')
      if (message.type() === 'error' && !isAnswer) complaints.push(message.text())
    })
    await page.goto(`${gateway.url}/console#/fleet?platform=${platform}`)
  })
  afterAll(() => browser?.close())

  const button = (name: string | RegExp, place: Page | Locator = page) =>
    place.getByRole('button', { name, exact: true })
  const dialogOf = (name: string | RegExp) => page.getByRole('dialog', { name, exact: true })
  const rowOf = (name: string) =>
    page.getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) })
  /** Opens a tenant, and one of its acts. */
  const open = async (tenant: string, act: string) => {
    await page.getByRole('link', { name: tenant, exact: true }).click()
    await button(act, dialogOf(tenant)).click()
  }
  const entry = async (tenant: string): Promise<Json> =>
    (await gateway.get(`/admin/fleet?platform=${platform}`)).body.databases.find(
      (one: Json) => one.tenant_id === tenant,
    )

  test('a tenant is created with the newest schema, and refused where it exists', async () => {
    await button('New tenant…').click()
    const dialog = dialogOf(`New tenant of ${platform}`)
    expect(await button('Create', dialog).isDisabled()).toBe(true)
    await dialog.getByLabel('Tenant id').fill('north')
    await dialog.getByLabel(/^Labels/).fill('plan')
    await button('Create', dialog).click()
    await dialog.getByText('"plan" is not a label such as plan:pro').waitFor()
    await dialog.getByLabel(/^Labels/).fill('plan:pro')
    await button('Create', dialog).click()
    await rowOf('north').getByText('synced').waitFor()
    expect((await entry('north')).labels).toEqual({ plan: 'pro' })
    expect((await gateway.call(platform, 'ping', [], 'north')).status).toBe(200)

    await button('New tenant…').click()
    await dialog.getByLabel('Tenant id').fill('north')
    await button('Create', dialog).click()
    await dialog.getByText('database_already_exists').waitFor()
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  })

  test('is labelled, cloned, suspended and resumed', async () => {
    await open('north', 'Labels…')
    await dialogOf('Labels of north').getByRole('textbox').fill('region:eu')
    await button('Save').click()
    await dialogOf('north').getByText('region:eu').waitFor()
    expect((await entry('north')).labels).toEqual({ region: 'eu' })

    await button('Clone…').click()
    await dialogOf('Clone north').getByLabel('Tenant id of the copy').fill('trial')
    await button('Clone').click()
    await dialogOf('Clone north').waitFor({ state: 'detached' })
    await button('Suspend…').click()
    await dialogOf('Suspend north').getByLabel('Message to callers').fill('Please pay')
    await button('Suspend').click()
    await button('Resume…').waitFor()
    const { status, body } = await gateway.call(platform, 'ping', [], 'north')
    expect([status, body.message]).toEqual([503, 'Please pay'])
    await button('Resume…').click()
    await button('Resume').click()
    await button('Suspend…').waitFor()
    await button('Close', dialogOf('north')).click()
    await rowOf('trial').waitFor()
  })

  test('is dropped once the name of its database is typed', async () => {
    await open('trial', 'Drop…')
    const dialog = dialogOf('Drop trial')
    await dialog.getByLabel(/^Hours/).fill('0')
    await dialog.getByRole('checkbox').setChecked(false)
    const act = button('Drop now', dialog)
    const confirm = dialog.getByLabel(/to confirm$/)
    await confirm.fill('trial')
    expect(await act.isDisabled()).toBe(true)
    await confirm.fill(`${platform}_trial`)
    await act.click()
    await dialogOf('trial').waitFor({ state: 'detached' })
    await rowOf('trial').waitFor({ state: 'detached' })
    expect(await entry('trial')).toBeUndefined()
  })

  test('what cannot be done says why', async () => {
    await page.getByRole('link', { name: 'main database' }).click()
    const dialog = dialogOf('main database')
    const drop = button('Drop…', dialog)
    expect(await drop.getAttribute('aria-disabled')).toBe('true')
    expect(await drop.getAttribute('title')).toBe('This can be done with a tenant alone')
    await drop.press('Enter')
    await dialog
      .locator('small:not(.unseen)')
      .getByText('This can be done with a tenant alone')
      .waitFor()
    const oneServer = 'There is one PostgreSQL server alone: SERVERS names no other'
    expect(await button('Move…', dialog).getAttribute('title')).toBe(oneServer)
    await page.keyboard.press('Escape')
  })

  test('a deploy shows its plan first, its failure with line and caret, and is retried', async () => {
    const archive = Buffer.from(await pack(FILES))
    await gateway.query(`${platform}_main`, 'create table towns as select 1 as id')
    await button('Deploy…').click()
    const dialog = dialogOf('Deploy')
    const deploy = async () => {
      await dialog.getByRole('combobox', { name: /^Archive/ }).selectOption('')
      await dialog
        .getByLabel(/^File/)
        .setInputFiles({ name: 'schema.tar.gz', mimeType: 'application/gzip', buffer: archive })
      await dialog.getByLabel('Go on with the others').setChecked(true)
      await button('Show the plan', dialog).click()
    }
    await deploy()
    await dialog.getByText('001_people.pssql:3').first().waitFor()
    expect(await dialog.locator('pre').first().textContent()).toContain('^')
    // The database is mended, and the plan shows what will be done.
    await gateway.query(`${platform}_north`, 'create table towns as select 1 as id')
    await button('Show the plan', dialog).click()
    await dialog.getByRole('heading', { name: '2 databases' }).waitFor()
    await dialog.getByText('001_people.pssql').waitFor()
    expect(await findBarriers(page)).toEqual([])
    await button('Deploy', dialog).click()
    await dialog.getByText(/^Done in .*: 2 databases/).waitFor()
    await button('Close', dialog).last().click()
    await rowOf('north').getByText('synced').waitFor()
  })

  test('the history says what each deploy changed, and goes back', async () => {
    await page.getByRole('link', { name: 'Deploys', exact: true }).click()
    const history = page.getByRole('table', { name: 'History' })
    await history.getByRole('link').first().click()
    const dialog = page.getByRole('dialog').first()
    await dialog.getByRole('heading', { name: 'What it changed' }).waitFor()
    await dialog.getByText('001_people.pssql').first().waitFor()
    await dialog.getByRole('heading', { name: /^How long each step took/ }).waitFor()
    const { body } = await gateway.get(`/admin/deployments?platform=${platform}&tenant_id=`)
    const diff = dialog.getByRole('region', { name: /^Changes of functions/ })
    expect(await diff.textContent()).toMatch(/^-.*one.*\n\+.*two/m)
    expect(await findBarriers(page)).toEqual([])
    const { steps_ms, execution_time_ms } = body.deployments[0]
    const steps = ['prepare', 'types', 'migrations', 'tables', 'functions', 'seeders', 'commit']
    expect(Object.keys(steps_ms).sort()).toEqual(steps.sort())
    const sum = Object.values<number>(steps_ms).reduce((one, other) => one + other)
    expect(sum).toBeLessThanOrEqual(execution_time_ms + 1)
    await button('Revert to the archive before…', dialog).click()
    const revert = dialogOf(/^Revert to/)
    await button('Show the plan', revert).click()
    await revert.getByText('Functions changed').waitFor()
    await button('Revert', revert).click()
    await revert.getByText(/^Done in/).waitFor()
    expect((await gateway.call(platform, 'ping', [], 'north')).body.rows).toEqual([{ ping: 'one' }])
    await button('Close', revert).last().click()
    await button('Close').click()
  })

  test('fits a phone, and nothing was wrong in the console of the browser', async () => {
    expect(await findBarriers(page)).toEqual([])
    const width = await page.locator('html').evaluate((html: Json) => html.scrollWidth)
    expect(width).toBeLessThanOrEqual(360)
    expect(complaints).toEqual([])
  })
})
