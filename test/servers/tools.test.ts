import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { findBrowser, startBrowser } from '../helpers/browser.ts'
import { cli } from '../helpers/cli.ts'
import {
  databaseUrlOf,
  type Json,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { temporaryFolder } from '../helpers/process.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'

const platform = uniqueName('tools')
const NOWHERE = 'postgres://nobody:x@127.0.0.1:1/nowhere'

let eu1: OtherServer
let gateway: TestGateway
beforeAll(async () => {
  eu1 = await startOtherServer()
  gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri};eu2=${NOWHERE}` })
  await gateway.register(platform, await pack(textFunction('f', 'one')))
})
afterAll(async () => {
  await gateway.stop()
  await eu1.remove()
})

async function run(args: string[], env: Record<string, string> = {}) {
  const folder = await temporaryFolder()
  const all = { GATEWAY_URL: gateway.url, GATEWAY_PLATFORM: platform, DUMP_DIR: folder, ...env }
  return cli(args, { folder, env: all })
}

describe('the commands', () => {
  test('make a tenant on a server, and list by server', async () => {
    expect(await run(['tenants', 'create', 'far', '--server', 'eu1'])).toMatchObject({ code: 0 })
    expect(await run(['tenants', 'create', 'near'])).toMatchObject({ code: 0 })
    expect(await eu1.databases()).toContain(`${platform}_far`)
    const { out } = await run(['tenants', 'list', '--server', 'eu1'])
    expect(out).toMatch(/^server +tenant/)
    expect(out).toMatch(/eu1 +far/)
    expect(out).not.toContain('near')
    const unknown = await run(['tenants', 'list', '--server', 'eu9'])
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('main, eu1, eu2')])
  })

  test('status tells the server of each database, and which is away', async () => {
    const { out } = await run(['status'])
    expect(out).toContain('server eu2 is away')
    expect(out).toMatch(new RegExp(`eu1 +${platform}_far`))
  })

  test('doctor looks at each server, and whether it is another one', async () => {
    const own = databaseUrlOf(gateway.server.database)
    const examine = async (servers: string, main = own) => {
      const settings = { DATABASE_URL: main, SERVERS: servers }
      const { out } = await run(['doctor', '--json'], settings)
      return JSON.parse(out).checks as Json[]
    }
    const checks = await examine(`eu1=${eu1.uri};eu2=${NOWHERE}`)
    const of = (name: string) => checks.filter((one) => one.name === name)
    expect(of('eu1: reach')).toMatchObject([{ status: 'ok' }])
    expect(of('eu1: rights')).toMatchObject([{ status: 'ok' }])
    expect(of('eu2: reach')).toMatchObject([{ status: 'error' }])
    expect(of('servers')).toMatchObject([
      { status: 'ok', message: 'main, eu1 are different servers' },
    ])
    const twice = await examine(`eu1=${eu1.uri};eu3=${eu1.uri}`)
    expect(twice.filter(({ name }) => name === 'servers')).toMatchObject([
      { status: 'error', message: expect.stringContaining('eu1 and eu3 are the same database') },
    ])
    // The gateways of another installation, which has no catalog yet, and one whose main is eu1.
    const advice = expect.stringContaining('set main_catalog = null')
    const foreign = [
      { name: 'eu1: installation', url: inject('databaseUrl'), servers: `eu1=${eu1.uri}` },
      { name: 'installation', url: eu1.uri, servers: '' },
    ]
    for (const { name, url, servers } of foreign) {
      const checked = await examine(servers, url)
      expect(checked.filter((one) => one.name === name)).toMatchObject([
        { status: 'error', message: expect.stringContaining('another installation'), advice },
      ])
    }
    expect(checks.map(({ name }) => name).join()).not.toContain('installation')
  })
})

const path = findBrowser()
test.skipIf(path === undefined)('the console shows and offers the servers', async () => {
  const browser = await startBrowser(path!)
  try {
    const page = await browser.newPage()
    await page.goto(`${gateway.url}/console#/fleet?platform=${platform}`)
    await page.getByText('No answer of the PostgreSQL server eu2').waitFor()
    const far = page.getByRole('row').filter({ has: page.getByRole('link', { name: 'far' }) })
    await far.getByText('eu1', { exact: true }).waitFor()
    await page.getByLabel(/^Server/).selectOption('main')
    await far.waitFor({ state: 'detached' })
    await page.getByRole('button', { name: 'New tenant…' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByLabel('Tenant id').fill('south')
    await dialog.getByLabel(/^PostgreSQL server/).selectOption('eu1')
    await dialog.getByRole('button', { name: 'Create' }).click()
    await expect.poll(() => eu1.databases()).toContain(`${platform}_south`)
    await page.goto(`${gateway.url}/console#/now`)
    await page.getByRole('heading', { name: 'Connections by server' }).waitFor()
    await page.getByText('The PostgreSQL server eu2 does not answer').waitFor()
    await page.getByRole('heading', { name: 'PostgreSQL eu1' }).waitFor()
  } finally {
    await browser.close()
  }
})
