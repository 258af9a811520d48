import { expect, test } from 'vitest'
import {
  beginTemplate,
  findSuperfluous,
  markDeployed,
  readTemplate,
  saveTemplate,
} from '../../../../lib/deploy/templates/table.ts'
import { startOneGateway } from '../../../helpers/for-file.ts'
import { connectTo, uniqueName } from '../../../helpers/gateway.ts'

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
