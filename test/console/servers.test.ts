import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { moveLock } from '../../lib/deploy/relocate/servers.ts'
import { databaseLock } from '../../lib/tenancy/database-lock.ts'
import { findBarriers } from '../helpers/axe.ts'
import { findBrowser, startBrowser } from '../helpers/browser.ts'
import { findTools } from '../helpers/dumps.ts'
import { connectTo, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type AlikeServer, startAlikeServer } from '../helpers/major-servers.ts'
import { pack, textFunction } from '../helpers/platforms.ts'

const platform = uniqueName('shown')
const path = findBrowser()
const hasTools = (await findTools()) !== undefined

describe.skipIf(path === undefined)('several PostgreSQL servers in the console', () => {
  /** What a page may not write to its console. */
  const complaints: string[] = []
  let eu1: AlikeServer
  let gateway: TestGateway
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    ;[eu1, browser] = await Promise.all([startAlikeServer(), startBrowser(path!)])
    gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri}` })
    const archive = await pack(textFunction('ping', 'one'))
    for (const tenant of [undefined, 'north', 'south']) {
      await gateway.register(platform, archive, tenant, { server: 'main' })
    }
    // The plan moves the smaller one; autovacuum alone can make either larger.
    const large = "create table large as select repeat('x', 1000) from generate_series(1, 2000)"
    await gateway.query(`${platform}_south`, large)
    page = await (await browser.newContext({ viewport: { width: 360, height: 740 } })).newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    await page.goto(`${gateway.url}/console#/fleet`)
  })
  afterAll(async () => {
    await browser?.close()
    await gateway?.stop()
    await eu1?.remove()
  })

  const button = (name: string, place: Page | Locator = page) =>
    place.getByRole('button', { name, exact: true })
  const dialogOf = (name: string) => page.getByRole('dialog', { name, exact: true })

  test('a plan says which tenants to move, and leads to them', async () => {
    await button('Plan moves between servers…').click()
    const dialog = dialogOf('Plan of moves between servers')
    await button('Show the plan', dialog).click()
    await dialog.getByRole('heading', { name: /^1 move, / }).waitFor()
    const servers = dialog.getByRole('table', { name: 'Servers' })
    expect(await servers.getByRole('row').nth(1).textContent()).toMatch(/^main3 → 2/)
    expect(await servers.getByRole('row').nth(2).textContent()).toMatch(/^eu10 → 1/)
    expect(await findBarriers(page)).toEqual([])
    await dialog.getByRole('table', { name: 'Moves' }).getByRole('link', { name: 'north' }).click()
    await dialogOf('north').getByText('main', { exact: true }).waitFor()
  })

  test('what a move refuses is told', async () => {
    await button('Move…', dialogOf('north')).click()
    const dialog = dialogOf('Move north')
    expect(await button('Move', dialog).getAttribute('title')).toBe('Choose a server')
    await dialog.getByLabel('To').selectOption('eu1')
    // The test server has no wal_level = logical; there may be no pg_dump of its version.
    await dialog.getByLabel('By').selectOption('replicate')
    await button('Move', dialog).click()
    await dialog.getByText(/move_refused|dump_not_available/).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.keyboard.press('Escape')
    await dialog.waitFor({ state: 'detached' })
  })

  test.runIf(hasTools)('a tenant is moved to the server that is chosen', async () => {
    await button('Move…', dialogOf('north')).click()
    const dialog = dialogOf('Move north')
    await dialog.getByLabel('To').selectOption('eu1')
    await button('Move', dialog).click()
    await dialog.getByText(/^Moved to eu1 in/).waitFor()
    await dialog.getByText(/^The former database is _db_gateway_moved_/).waitFor()
    await button('Close', dialog).last().click()
    await dialogOf('north').getByText('eu1', { exact: true }).waitFor()
    expect(await eu1.databases()).toContain(`${platform}_north`)
    expect((await gateway.call(platform, 'ping', [], 'north')).status).toBe(200)
    const left = { platform, tenant_id: 'north', server: 'main', confirm: `${platform}_north` }
    expect((await gateway.post('/admin/drop-tenant', left)).status).toBe(200)
  })

  test('a move that runs is told, and can be given up', async () => {
    const database = `${platform}_south`
    // As the gateway that moves it has it.
    const mover = connectTo(gateway.server.database)
    await mover`select pg_advisory_lock(${databaseLock(mover, moveLock(database))})`
    await mover`
      insert into _db_gateway_moves (database, id, platform, tenant_id, source, target, kept)
      values (${database}, gen_random_uuid(), ${platform}, 'south', 'main', 'eu1', '_db_gateway_moved_x')
    `
    await page.goto(`${gateway.url}/console#/fleet?platform=${platform}&open=${database}`)
    await page.reload()
    await dialogOf('south').getByText('being moved to eu1: copying').waitFor()
    await button('Give the move up…', dialogOf('south')).click()
    const dialog = dialogOf('Give up the move of south')
    await button('Give it up', dialog).click()
    await dialog.waitFor({ state: 'detached' })
    const [row] = await mover`select is_stopped from _db_gateway_moves where database = ${database}`
    expect(row).toEqual({ is_stopped: true })
    await mover`delete from _db_gateway_moves where database = ${database}`
    await mover.end()
    expect(complaints).toEqual([])
  })
})
