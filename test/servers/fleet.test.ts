import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  databaseUrlOf,
  type Json,
  schemaForm,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack, textFunction } from '../helpers/platforms.ts'
import { type OtherServer, startOtherServer } from '../helpers/servers.ts'
import { storeSchema } from '../helpers/stored.ts'

let eu1: OtherServer
let gateway: TestGateway
const platform = uniqueName('fleet')
const far = [`${platform}_far1`, `${platform}_far2`]
const near = [`${platform}_main`, `${platform}_near`]
const all = [`${platform}_main`, ...far, `${platform}_near`]
beforeAll(async () => {
  eu1 = await startOtherServer({ cluster_name: 'eu1' })
  gateway = await startTestGateway({ SERVERS: `eu1=${eu1.uri}` })
  await gateway.register(platform, await archive('zero'))
  for (const [tenant_id, server] of [
    ['near', 'main'],
    ['far1', 'eu1'],
    ['far2', 'eu1'],
  ]) {
    const tenant = { platform, tenant_id, server, deploy: true, labels: { at: server } }
    expect((await gateway.post('/admin/create-tenant', tenant)).status).toBe(201)
  }
})
afterAll(async () => {
  await gateway.stop()
  await eu1.remove()
})

const archive = (text: string) => pack(textFunction('f', text))
const migrate = async (text: string, flags: Record<string, string> = {}) =>
  gateway.migrate(platform, await archive(text), undefined, flags)
const statuses = (body: Json) =>
  Object.fromEntries(body.results.map((one: Json) => [one.database, one.status]))
const each = (names: string[], status: string) => names.map((name) => [name, status])
const fOf = async (tenant?: string) =>
  (await gateway.call(platform, 'f', [], tenant)).body.rows?.[0].f

describe('/migrate over two servers', () => {
  test('deploys to the databases of both, the main one first', async () => {
    const { status, body } = await migrate('one')
    expect([status, body.status]).toEqual([200, 'completed'])
    expect(body.results.map((one: Json) => one.database)).toEqual(all)
    expect([await fOf(), await fOf('near'), await fOf('far2')]).toEqual(['one', 'one', 'one'])
  })

  test('selects by names and labels of either server', async () => {
    const skipping = await migrate('two', { skip: 'far1' })
    expect(statuses(skipping.body)[far[0]!]).toBe('skipped')
    expect([await fOf('far1'), await fOf('far2')]).toEqual(['one', 'two'])
    const labelled = await migrate('three', { label: 'at:eu1' })
    expect(statuses(labelled.body)).toEqual(Object.fromEntries(each(far, 'completed')))
    expect([await fOf('near'), await fOf('far1')]).toEqual(['two', 'three'])
    expect((await migrate('three', { skip: 'nobody' })).status).toBe(400)
    expect((await migrate('three', { label: 'at:eu2' })).status).toBe(404)
  })

  test('is told where it is stopped by a failure, on both', async () => {
    const broken = await pack({ 'functions/f.pssql': 'create function f() returns nothing' })
    const { body } = await gateway.migrate(platform, broken)
    expect(Object.values(statuses(body))).not.toContain('completed')
    expect(statuses(body)[`${platform}_main`]).toBe('failed')
  })

  test('of one tenant goes to its server', async () => {
    const { status, body } = await gateway.migrate(platform, await archive('four'), 'far1')
    expect([status, body.databases_updated]).toEqual([200, [far[0]]])
    expect([await fOf('far1'), await fOf('far2')]).toEqual(['four', 'three'])
  })

  test('is undone by /admin/revert on both', async () => {
    const { body } = await migrate('five')
    const { archives } = (await gateway.get(`/admin/archives?platform=${platform}`)).body
    const before = archives.find((one: Json) => one.checksum !== body.checksum)
    const reverted = await gateway.post('/admin/revert', { platform, checksum: before.checksum })
    expect(statuses(reverted.body)).toEqual(Object.fromEntries(each(all, 'completed')))
    const now = [await fOf(), await fOf('near'), await fOf('far1'), await fOf('far2')]
    expect(new Set(now).size).toBe(1)
    expect(now).not.toContain('five')
  })
})

describe('/admin/drift over two servers', () => {
  test('compares the databases of both', async () => {
    await migrate('six')
    const alike = (await gateway.get(`/admin/drift?platform=${platform}`)).body
    expect([alike.count, alike.alike]).toEqual([4, 4])
    await eu1.query('create table extra ()', far[1])
    const { body } = await gateway.get(`/admin/drift?platform=${platform}`)
    expect(body.alike).toBe(3)
    expect(body.groups[0]).toMatchObject({ count: 1, databases: [far[1]] })
  })
})

describe('/migrate over two servers that ends early', () => {
  const ends = uniqueName('ends')
  const [main, n1, n2, f1, f2] = ['main', 'n1', 'n2', 'f1', 'f2'].map((id) => `${ends}_${id}`) as [
    string,
    string,
    string,
    string,
    string,
  ]
  /** Each release has all of these migrations. They wait as long as their database says, or fail there. */
  const release = (count: number) =>
    pack({
      ...textFunction('f', `${count}`),
      'migrations/000_says.pssql': 'create table says (what text);',
      ...Object.fromEntries(
        Array.from({ length: count }, (_, i) => [
          `migrations/00${i + 1}.pssql`,
          `do $$ begin
             while exists (select from says where what = 'wait') loop perform pg_sleep(0.02); end loop;
             if exists (select from says where what = 'fail') then raise 'it says so'; end if;
           end $$;`,
        ]),
      ),
    })
  const say = (database: string, what: string) => {
    const text = `delete from says; insert into says select '${what}' where '${what}' <> ''`
    return [f1, f2].includes(database) ? eu1.query(text, database) : gateway.query(database, text)
  }
  /** Starts a /migrate, whose lines tell what it does. */
  async function begin(archive: Uint8Array, flags: Record<string, string> = {}) {
    const id = uniqueName('id')
    const response = await fetch(`${gateway.url}/migrate`, {
      method: 'POST',
      headers: { accept: 'application/x-ndjson', 'x-request-id': id },
      body: schemaForm(ends, archive, undefined, { ...flags, progress: 'true' }),
    })
    const lines = createInterface({ input: Readable.fromWeb(response.body as never) })
    const each = lines[Symbol.asyncIterator]()
    /** Returns the next line of which this is true; the last one if there is none. */
    const until = async (isMeant: (line: Json) => boolean): Promise<Json> => {
      for (let last: Json; ; ) {
        const { value, done } = await each.next()
        if (done) return last
        last = JSON.parse(value)
        if (isMeant(last)) return last
      }
    }
    const runs = (...names: string[]) => until(({ databases }) => `${databases}` === `${names}`)
    return { id, until, runs, end: () => until(() => false) }
  }

  beforeAll(async () => {
    const archive = await release(1)
    await gateway.register(ends, archive)
    for (const [tenant, server] of [
      ['n1', 'main'],
      ['n2', 'main'],
      ['f1', 'eu1'],
      ['f2', 'eu1'],
    ] as const) {
      await gateway.register(ends, archive, tenant, { server })
    }
  })

  test('by /migrate/stop starts nothing more on either', async () => {
    await Promise.all([say(main, 'wait'), say(f1, 'wait')])
    const fleet = await begin(await release(2))
    await fleet.until(({ databases }) => databases?.length === 2)
    const stopped = await gateway.post('/migrate/stop', { platform: ends, request_id: fleet.id })
    expect(stopped.status).toBe(202)
    await Promise.all([say(main, ''), say(f1, '')])
    expect(await fleet.end()).toMatchObject({
      error: 'migration_stopped',
      databases_updated: [main, f1],
      not_started: [f2, n1, n2],
    })
  })

  test('by a failure with on_error=stop starts nothing more on the other', async () => {
    await Promise.all([say(f1, 'wait'), say(n2, 'fail')])
    const fleet = await begin(await release(3), { on_error: 'stop' })
    await fleet.until(({ database }) => database === n2)
    await say(f1, '')
    const { error, databases_updated, failed, not_started } = await fleet.end()
    expect(error).toBe('migration_failed')
    expect(databases_updated).toEqual([main, f1, n1])
    expect(failed).toMatchObject([{ database: n2 }])
    expect(not_started).toEqual([f2])
  })

  test('by a failure without it goes on with both', async () => {
    const { status, body } = await gateway.migrate(ends, await release(4))
    expect([status, body.databases_updated]).toEqual([422, [main, f1, f2, n1]])
    await say(n2, '')
    const again = await gateway.migrate(ends, await release(4), undefined, { only: 'failed' })
    expect([again.status, again.body.databases_updated]).toEqual([200, [n2]])
  })

  test('on the server that dies alone goes on with the others', async () => {
    await Promise.all([say(main, 'wait'), say(f1, 'wait')])
    const archive = await release(5)
    const fleet = await begin(archive, { on_error: 'stop' })
    await fleet.until(({ databases }) => databases?.length === 2)
    const waiting = `select from pg_stat_activity where datname = '${f1}' and wait_event = 'PgSleep'`
    await expect.poll(async () => (await eu1.query(waiting)).length).toBe(1)
    await eu1.crash()
    await fleet.until(({ database }) => database === f2)
    await say(main, '')
    const answer = await fleet.end()
    expect(answer).toMatchObject({ error: 'connection_failed', databases_updated: [main, n1, n2] })
    const why = (database: string) => ({ database, error: 'connection_failed' })
    expect(answer.failed).toMatchObject([why(f1), why(f2)])
    expect(answer.not_started).toEqual([])
    await eu1.start()
    const call = () => gateway.call(ends, 'f', [], 'f1')
    await expect.poll(async () => (await call()).status, { timeout: 15_000 }).toBe(200)
    await say(f1, '')
    const again = await gateway.migrate(ends, archive, undefined, { only: 'failed' })
    expect([again.status, again.body.databases_updated]).toEqual([200, [f1, f2]])
  })
})

describe('with TEMPLATES=on', () => {
  const grown = uniqueName('grown')
  let other: TestGateway
  beforeAll(async () => {
    const url = databaseUrlOf(gateway.server.database)
    other = await startTestGateway({
      DATABASE_URL: url,
      SERVERS: `eu1=${eu1.uri}`,
      TEMPLATES: 'on',
    })
    await other.register(grown, await archive('one'))
    await other.register(grown, await archive('one'), 'far', { server: 'eu1' })
  })
  afterAll(() => other.stop())

  test('/migrate has a template on each server, of which new tenants are made', async () => {
    const { status, body } = await other.migrate(grown, await archive('two'))
    expect([status, body.warnings]).toEqual([200, []])
    const select = `select count(*)::int as n from _db_gateway_templates
      where platform = '${grown}' and checksum = '${body.checksum}' and state = 'ready'`
    expect(await other.query(other.server.database, select)).toEqual([{ n: 1 }])
    expect(await eu1.query(select)).toEqual([{ n: 1 }])
    const tenant = { platform: grown, tenant_id: 'new', server: 'eu1', deploy: true }
    expect((await other.post('/admin/create-tenant', tenant)).status).toBe(201)
    expect((await other.call(grown, 'f', [], 'new')).body.rows).toEqual([{ f: 'two' }])
  })

  test('/migrate with strict deploys nothing where one of them can make no tenant', async () => {
    // Servers may differ in extensions, in versions, or in settings as here.
    const one = await pack({
      ...textFunction('f', 'three'),
      'tables/seen.pgsql': 'create table seen (id int);',
      'migrations/001_seen.pssql': `do $$ begin
        if current_setting('cluster_name') = 'eu1' and to_regclass('by_hand') is null
        then raise 'not here'; end if; end $$;`,
    })
    for (const tenant of ['far', 'new'])
      await eu1.query('create table by_hand ()', `${grown}_${tenant}`)
    const strict = await other.migrate(grown, one, undefined, { strict: 'true' })
    expect(strict).toMatchObject({
      status: 422,
      body: { error: 'new_tenants_fail', server: 'eu1', file: 'migrations/001_seen.pssql' },
    })
    expect((await other.call(grown, 'f')).body.rows).toEqual([{ f: 'two' }])
    const { status, body } = await other.migrate(grown, one)
    expect([status, body.warnings.length]).toEqual([200, 1])
    expect(body.warnings[0]).toMatch(/^new_tenants_fail: .*001_seen.pssql.*\(on the server eu1\)$/)
  })
})

describe('while the other server is away', () => {
  beforeAll(() => eu1.stop())

  test('/migrate deploys to this one, and says which databases it has not reached', async () => {
    const { status, body } = await migrate('seven', { on_error: 'stop' })
    expect([status, body.error]).toEqual([503, 'connection_failed'])
    const expected = [...each(near, 'completed'), ...each(far, 'failed')]
    expect(statuses(body)).toEqual(Object.fromEntries(expected))
    expect(await fOf('near')).toBe('seven')
  })

  test('/admin/drift says which databases it has not reached', async () => {
    const { body } = await gateway.get(`/admin/drift?platform=${platform}`)
    expect(body.unreachable.map((one: Json) => one.database)).toEqual(far)
    expect([body.count, body.alike]).toEqual([4, 2])
  })

  test('only=failed brings the rest when it is back', async () => {
    await eu1.start()
    await expect.poll(() => fOf('far1'), { timeout: 15_000 }).toBe('six')
    const { status, body } = await migrate('seven', { only: 'failed' })
    expect(status).toBe(200)
    expect(statuses(body)).toEqual(Object.fromEntries(each(far, 'completed')))
    expect([await fOf('far1'), await fOf('far2')]).toEqual(['seven', 'seven'])
  })
})

describe('/v2/migrate-all over two servers', () => {
  test('is a job with the tenants of both', async () => {
    const stored = uniqueName('v2')
    const schema = { schema_name: 's' }
    await gateway.post('/platform/register', { platform: stored })
    await storeSchema(gateway, stored, await archive('one'), schema)
    for (const server of ['main', 'eu1']) {
      const made = { platform: stored, schema_name: 's', uuid: `at_${server}`, server }
      expect((await gateway.post('/admin/database/create', made)).status).toBe(200)
    }
    await storeSchema(gateway, stored, await archive('two'), schema)
    const { body } = await gateway.post('/v2/migrate-all', { platform: stored, ...schema })
    expect(body).toMatchObject({ status: 'completed', total_databases: 2, succeeded: 2 })
    for (const server of ['main', 'eu1']) {
      const call = { platform: stored, schema_name: 's', uuid: `at_${server}`, function: 'f' }
      expect((await gateway.post('/call', call)).body.rows).toEqual([{ f: 'two' }])
    }
  })
})
