import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { store } from '../helpers/stored.ts'

let one: TestGateway

beforeAll(async () => {
  one = await startTestGateway()
})

afterAll(() => one.stop())

const BASE: Files = {
  'tables/notes.sql': 'create table notes (id integer);',
  ...textFunction('ping', 'of before'),
}

describe('/v2/migrate-all of tenants that no schema names', () => {
  const migration = (name: string): Files => ({ [`migrations/${name}.sql`]: 'select 1;' })
  const create = async (platform: string, body: object) => {
    const { status } = await one.post('/admin/database/create', { platform, ...body })
    expect(status).toBe(200)
  }
  /** The ends of the names of those that were brought, and the warnings. */
  const bring = async (platform: string, schema_name: string) => {
    const { body } = await one.post('/v2/migrate-all', { platform, schema_name })
    const names = body.results.map((result: Json) => result.database.slice(platform.length + 1))
    return { names, warnings: body.warnings }
  }
  const left = (platform: string, ...ids: string[]) => [
    `Left out, because another archive was deployed there: ${ids.map((id) => `${platform}_${id}`).join(', ')}. POST /v2/migrate with database_id brings them to this one`,
  ]

  it('takes those whose archive it carries on, beside databases of another schema', async () => {
    const platform = uniqueName('fleet')
    await one.post('/platform/register', { platform })
    const v10 = { ...BASE, ...migration('001') }
    await store(one, platform, 'v1.0', v10)
    await store(one, platform, 'clinic', BASE)
    await create(platform, { schema_name: 'v1.0', database_id: '1' })
    await one.register(
      platform,
      await pack({ ...BASE, ...migration('001'), ...textFunction('ping', 'else') }),
      '2',
    )
    await one.register(platform, await pack(migration('003')), '3')
    await create(platform, { schema_name: 'clinic', uuid: 'c1' })
    await store(one, platform, 'v1.1', { ...v10, ...migration('002') })
    expect(await bring(platform, 'v1.1')).toEqual({
      names: ['1', '2'],
      warnings: left(platform, '3'),
    })
  })

  it('leaves those of other schemas alone, and names them', async () => {
    const platform = uniqueName('fleet')
    await one.post('/platform/register', { platform })
    for (const [name, id] of [
      ['clinic', 'c1'],
      ['lab', 'l1'],
    ] as const) {
      const files = { ...textFunction('ping', name), ...migration(`001_${name}`) }
      await store(one, platform, name, files)
      await create(platform, { schema_name: name, database_id: id })
    }
    await one.register(platform, await pack(textFunction('only_here', 'a')), 'north')
    expect(await bring(platform, 'clinic')).toEqual({
      names: ['c1'],
      warnings: left(platform, 'l1', 'north'),
    })
    expect(await bring(platform, 'lab')).toEqual({
      names: ['l1'],
      warnings: left(platform, 'c1', 'north'),
    })
    // Its base database is one that is named with it.
    await store(one, platform, 'own', textFunction('only_here', 'b'))
    await create(platform, { schema_name: 'own' })
    expect(await bring(platform, 'own')).toEqual({
      names: [],
      warnings: left(platform, 'c1', 'l1', 'north'),
    })
  })
})
