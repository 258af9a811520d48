import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../../helpers/gateway.ts'
import { pack, textFunction } from '../../../helpers/platforms.ts'

let url: string
let gateway: TestGateway
let x: Uint8Array
let y: Uint8Array
const platform = uniqueName('order')

beforeAll(async () => {
  url = await createAdminDatabase()
  gateway = await startTestGateway({ DATABASE_URL: url, KEPT_ARCHIVES: '2' })
  x = await pack(textFunction('motto', 'X'))
  y = await pack(textFunction('motto', 'Y'))
})
afterAll(async () => {
  await gateway.stop()
  await dropAdminDatabase(url)
})

async function deploy(schema: string, archive: Uint8Array, uuid?: string): Promise<Json> {
  const owner = { schema_name: schema, ...(uuid !== undefined && { uuid }) }
  return (await gateway.register(platform, archive, undefined, owner)).body
}

async function mottoOf(owner: object): Promise<string> {
  const { body } = await gateway.post('/call', { platform, ...owner, function: 'motto' })
  return body.rows[0].motto
}

async function pending(): Promise<string[]> {
  const { body } = await gateway.get(`/admin/databases?platform=${platform}`)
  return body.databases
    .filter(({ pending }: Json) => pending)
    .map(({ name }: Json) => name.slice(platform.length + 1))
}

/** In hr, Y came behind X; in crm, X came behind Y. */
async function expectOrders(uuid: string): Promise<void> {
  await deploy('hr', y, uuid)
  await deploy('crm', x, uuid)
  expect(await deploy('hr', x, uuid)).toMatchObject({ status: 'ready', superseded: true })
  expect(await deploy('crm', y, uuid)).toMatchObject({ status: 'ready', superseded: true })
  expect(await mottoOf({ schema_name: 'hr', uuid })).toBe('Y')
  expect(await mottoOf({ schema_name: 'crm', uuid })).toBe('X')
  expect(await pending()).toEqual([])
}

test('Archives are in the order in which they came to each schema', async () => {
  await deploy('hr', x)
  await deploy('crm', y)
  // Of the platform it is older than Y. In crm it is new.
  const done = await deploy('crm', x)
  expect(done).toMatchObject({ status: 'ready' })
  expect(done).not.toHaveProperty('superseded')
  expect(await mottoOf({ schema_name: 'crm' })).toBe('X')
  expect(await pending()).toEqual([])
  await deploy('crm', y, 'late')
  expect(await pending()).toEqual(['crm_late'])
  await deploy('crm', x, 'late')
  await deploy('hr', y)
  await expectOrders('1')
})

test('A catalog of before, which knew of one schema an archive, has the order of each then', async () => {
  await gateway.stop()
  const { database } = gateway.server
  await queryDatabase(database, 'drop table _db_gateway_schema_archives', { asGateway: true })
  gateway = await startTestGateway({ DATABASE_URL: url })
  await expectOrders('2')
})

test('Archives are kept for each schema, which goes back to its own alone', async () => {
  const [a, b, ...releases] = await Promise.all(
    ['a', 'b', 'c', 'd', 'e'].map((text) => pack(textFunction('motto', text))),
  )
  const [first, second] = [await deploy('books', a!), await deploy('books', b!)]
  let release: Json
  for (const one of releases) release = await deploy('shops', one)
  const revert = (checksum: string) =>
    gateway.post('/admin/revert', { platform, schema_name: 'books', checksum })
  expect(await revert(release.checksum)).toMatchObject({
    status: 404,
    body: { error: 'not_found', archives: [second.checksum, first.checksum] },
  })
  expect(await mottoOf({ schema_name: 'books' })).toBe('b')
  expect(await revert(first.checksum)).toMatchObject({ status: 200 })
  expect(await mottoOf({ schema_name: 'books' })).toBe('a')
})
