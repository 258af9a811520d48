import { describe, expect, test } from 'vitest'
import {
  connectTo,
  dropDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../../helpers/platforms.ts'

// An old container that starts again took its schema back; and what /admin/databases said then.

import {
  FIRST,
  gateway,
  newPlatform,
  ownerOf,
  type Platform,
  said,
  setUp,
  warningsOf,
} from './setup.ts'

setUp()

describe('G2: pending', () => {
  async function pending(platform: string, query = ''): Promise<Json> {
    const { body } = await gateway.get(`/admin/databases?platform=${platform}${query}`)
    return body.databases.map((one: Json) => one.pending)
  }

  async function fleet(): Promise<Platform> {
    const platform = await newPlatform()
    for (const tenant of ['north', 'south']) {
      await gateway.register(platform.name, platform.second, tenant)
    }
    return platform
  }

  test('is true for those behind, and for nobody once all went back', async () => {
    const { name, first, second } = await newPlatform()
    await gateway.register(name, first, 'north')
    expect(await pending(name)).toEqual([false, true])
    await gateway.migrate(name, second)
    expect(await pending(name)).toEqual([false, false])
    await gateway.register(name, first, 'north', { allow: 'older' })
    expect(await pending(name)).toEqual([false, true])
    await gateway.migrate(name, first)
    expect(await pending(name)).toEqual([false, false])
    // Forward again, one by one.
    await gateway.register(name, second, undefined, { allow: 'older' })
    expect(await pending(name)).toEqual([false, true])
    await gateway.migrate(name, second)
    expect(await pending(name)).toEqual([false, false])
  })

  test('is seen at once where an older dump was restored into a new database', async () => {
    const { name, first, second } = await newPlatform()
    for (const tenant of ['north', 'south']) await gateway.register(name, first, tenant)
    const admin = connectTo(gateway.server.database)
    try {
      const copy = `${name}_copy`
      await admin.unsafe(`drop database if exists ${copy}`)
      // A session that is not back yet would be in the way.
      await admin.unsafe(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}_north'`,
      )
      await admin.unsafe(`create database ${copy} template ${name}_north`)
      await gateway.migrate(name, second)
      expect(await pending(name)).toEqual([false, false, false])
      await dropDatabase(`${name}_north`)
      await admin.unsafe(`alter database ${copy} rename to ${name}_north`)
      await admin.unsafe(`alter database ${name}_north owner to "${await ownerOf(`${name}_main`)}"`)
      expect(await pending(name)).toEqual([false, true, false])
      await gateway.register(name, second, 'north')
      expect(await pending(name)).toEqual([false, false, false])
    } finally {
      await admin.end()
    }
  })

  test('is asked of the databases themselves with refresh=true, and found by a register', async () => {
    const { name } = await fleet()
    const forget = `delete from _db_gateway_deployments
      where id = (select max(id) from _db_gateway_deployments where status = 'completed')`
    for (const tenant of ['north', 'south']) {
      await queryDatabase(`${name}_${tenant}`, forget, { asGateway: true })
    }
    expect(await pending(name, '&refresh=true')).toEqual([false, true, true])
    const { body } = await gateway.get(`/admin/databases?platform=${name}`)
    expect(body.databases[1]).toMatchObject({ schema_checksum: null, last_deployed_at: null })
  })
})

describe('POST /admin/revert', () => {
  const checksumOf = async (platform: string, index: number): Promise<string> => {
    const { body } = await gateway.get(`/admin/archives?platform=${platform}`)
    return body.archives[index].checksum
  }

  test('takes all databases of a platform back, and forward again', async () => {
    const { name, database, second } = await newPlatform()
    await gateway.register(name, second, 'north')
    const [newer, older] = [await checksumOf(name, 0), await checksumOf(name, 1)]
    const dry = await gateway.post('/admin/revert', {
      platform: name,
      checksum: older,
      dry_run: true,
    })
    expect(dry.body).toMatchObject({ status: 'dry_run' })
    expect(dry.body.plan).toHaveLength(2)
    expect(await said(name, 'motto')).toBe('second')

    const answer = await gateway.post('/admin/revert', { platform: name, checksum: older })
    expect(answer.body).toMatchObject({
      status: 'completed',
      databases_updated: [database, `${name}_north`],
      migrations_applied: 0,
      functions_updated: 2,
      checksum: older,
    })
    expect(warningsOf(answer)).toContain('002_more.pssql')
    for (const tenant of [undefined, 'north']) {
      expect(await said(name, 'motto', tenant)).toBe('first')
      expect(await said(name, 'farewell', tenant)).toBe(404)
    }
    const { body } = await gateway.get(`/admin/audit?platform=${name}&limit=1`)
    expect(body.entries[0]).toMatchObject({
      action: 'revert',
      status: 200,
      databases: [database, `${name}_north`],
      summary: { checksum: older, databases_updated: 2 },
    })
    const listed = await gateway.get(`/admin/databases?platform=${name}`)
    expect(listed.body.databases.map((one: Json) => one.pending)).toEqual([false, false])

    // The containers of the archive that was left do not bring it back, north's neither.
    expect((await gateway.register(name, second, 'north')).body).toMatchObject({ superseded: true })
    const again = await gateway.post('/admin/revert', { platform: name, checksum: older })
    expect(again.body.results.map((one: Json) => one.functions_changed)).toEqual([0, 0])
    const forth = await gateway.post('/admin/revert', {
      platform: name,
      tenant_id: 'north',
      checksum: newer,
    })
    expect(forth.body).toMatchObject({ databases_updated: [`${name}_north`], functions_updated: 3 })
    expect(await said(name, 'motto')).toBe('first')
    expect(await said(name, 'motto', 'north')).toBe('second')
  })

  test('is refused where a function does not fit, or the database has not had the archive', async () => {
    const name = uniqueName('older')
    const select = (column: string): Files => ({
      'functions/prices.pssql': `create or replace function prices() returns setof int language sql as 'select ${column} from item'`,
    })
    const first = await pack({ ...FIRST, ...select('price') })
    const second = await pack({
      ...FIRST,
      ...select('cost'),
      'migrations/002_rename.pssql': 'alter table item rename price to cost;',
    })
    await gateway.register(name, first)
    await gateway.register(name, first, 'north')
    await gateway.register(name, second)
    const [newer, older] = [await checksumOf(name, 0), await checksumOf(name, 1)]

    const answer = await gateway.post('/admin/revert', { platform: name, checksum: older })
    expect(answer).toMatchObject({
      status: 422,
      body: {
        error: 'function_deploy_failed',
        database: `${name}_main`,
        failures: [{ file: 'functions/prices.pssql', line: 1 }],
        not_started: [`${name}_north`],
      },
    })
    const ahead = await gateway.post('/admin/revert', {
      platform: name,
      tenant_id: 'north',
      checksum: newer,
    })
    expect(ahead).toMatchObject({
      status: 409,
      body: { error: 'revert_refused', files: ['migrations/002_rename.pssql'] },
    })
  })

  test('the schema main is the main database alone; a tenant_id that names none says so', async () => {
    const { name, database, second } = await newPlatform()
    await gateway.register(name, second, 'north')
    const checksum = await checksumOf(name, 1)
    const main = { platform: name, schema_name: 'main', checksum, dry_run: true }
    const { status, body } = await gateway.post('/admin/revert', main)
    expect([status, body.plan?.map((one: Json) => one.database)]).toEqual([200, [database]])
    for (const tenant_id of ['', 'null', null]) {
      const refused = await gateway.post('/admin/revert', { platform: name, checksum, tenant_id })
      expect(refused.status).toBe(400)
      expect(refused.body.message).toContain('Leave it out to mean all databases of the platform')
      expect(refused.body.message).not.toContain('to mean the main database')
    }
  })

  test('an archive that is not known, or of another platform, is 404; others are 400', async () => {
    const { name } = await newPlatform()
    const other = await newPlatform({ ...FIRST, ...textFunction('alone', 'here') })
    const checksum = await checksumOf(other.name, 1)
    const answer = await gateway.post('/admin/revert', { platform: name, checksum })
    expect(answer).toMatchObject({ status: 404, body: { error: 'not_found' } })
    expect(answer.body.archives).toHaveLength(2)
    for (const body of [
      { platform: name },
      { platform: name, checksum: 'abc' },
      { platform: name, checksum, tenant_id: null },
      { platform: name, checksum, on_error: 'go' },
      { platform: name, checksum, archive: 1 },
    ]) {
      expect(await gateway.post('/admin/revert', body)).toMatchObject({ status: 400 })
    }
    const none = uniqueName('older')
    const missing = await gateway.post('/admin/revert', { platform: none, checksum })
    expect(missing.status).toBe(404)
  })

  test('KEPT_ARCHIVES bounds what is kept, by when it was deployed last', async () => {
    const other = await startTestGateway({ KEPT_ARCHIVES: '2' })
    try {
      const name = uniqueName('older')
      const archives = await Promise.all(
        ['a', 'b', 'c'].map((text) => pack(textFunction('motto', text))),
      )
      const kept = async () => {
        const { body } = await other.get(`/admin/archives?platform=${name}`)
        return body.archives.map((one: Json) => [one.size_bytes !== null, one.databases])
      }
      const [a, b, c] = archives as [Uint8Array, Uint8Array, Uint8Array]
      for (const archive of [a, b]) await other.register(name, archive)
      await other.register(name, a, undefined, { allow: 'older' })
      await other.register(name, c)
      expect(await kept()).toEqual([
        [true, 1],
        [false, 0],
        [true, 0],
      ])
    } finally {
      await other.stop()
    }
  })

  test('an archive in place that was never kept is kept when a container brings it', async () => {
    const { name, second } = await newPlatform()
    const { database } = gateway.server
    const forget = `update _db_gateway_archives set packed = null, last_deployed_at = null
      where platform = '${name}'`
    await queryDatabase(database, forget, { asGateway: true })
    await gateway.register(name, second)
    const { body } = await gateway.get(`/admin/archives?platform=${name}`)
    expect(body.archives.map((one: Json) => one.size_bytes)).toEqual([second.length, null])
  })
})
