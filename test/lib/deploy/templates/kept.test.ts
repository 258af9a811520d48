import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import {
  beginTemplate,
  findSuperfluous,
  markDeployed,
  markUnfinished,
  readTemplate,
  readTemplateFacts,
  saveTemplate,
} from '../../../../lib/deploy/templates/table.ts'
import { startOneGateway } from '../../../helpers/for-file.ts'
import { connectTo, uniqueName } from '../../../helpers/gateway.ts'
import { pack } from '../../../helpers/platforms.ts'

const gateway = await startOneGateway({ TEMPLATES: 'on' })

test('the templates that are kept are those of the last releases, however late these are recorded', async () => {
  const platform = uniqueName('order')
  const sql = connectTo(gateway.server.database)
  const names = ['first', 'second', 'third'].map((one) => `_db_gateway_template_${platform}_${one}`)
  for (const database of names) {
    await beginTemplate(sql, { database, platform, checksum: database, base: '' })
    await saveTemplate(sql, { ...(await readTemplate(sql, database))!, state: 'ready' })
  }
  const [first, second, third] = names as [string, string, string]
  expect(await markDeployed(sql, third, 0)).toBe(true)
  await markDeployed(sql, second, 200)
  await markDeployed(sql, first, 400)
  expect(await findSuperfluous(sql, platform, [])).toEqual([first])
  expect(await markDeployed(sql, 'gone', 0)).toBe(false)
  await sql.end()
})

test('drift goes on comparing with the archive of a template that is to be built again', async () => {
  const platform = uniqueName('order')
  const sql = connectTo(gateway.server.database)
  const database = `_db_gateway_template_${platform}`
  const about = { database, platform, checksum: 'abc', base: '' }
  await beginTemplate(sql, about)
  const facts = { digest: 'd', facts: [] }
  await saveTemplate(sql, { ...(await readTemplate(sql, database))!, state: 'ready' }, facts)
  for (const again of [() => markUnfinished(sql, database), () => beginTemplate(sql, about)]) {
    await again()
    expect(await readTemplateFacts(sql, platform)).toMatchObject([{ checksum: 'abc', ...facts }])
  }
  await sql.end()
})

test.each<Record<string, string>>([{}, { strict: 'true' }, { skip: 'nobody' }])(
  'a /migrate that has nothing to deploy to makes no template and no role: %j',
  async (flags) => {
    const platform = uniqueName('ghost')
    const archive = await pack({ 'migrations/001_a.sql': 'create table t (id int);' })
    const { status } = await gateway.migrate(platform, archive, undefined, flags)
    expect(status).toBe(404)
    // The proof of a deploy that has nothing to do would take this long.
    await sleep(300)
    const sql = connectTo('postgres')
    const left = await sql`
      select datname as name from pg_database where datname like ${`%${platform}%`}
      union all select rolname from pg_roles where rolname = ${`gw_${platform}`}
    `
    await sql.end()
    expect([...left]).toEqual([])
  },
)
