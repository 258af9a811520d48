import { expect, test } from 'vitest'
import { byTable, type Column } from '../../../../lib/deploy/tables/columns.ts'
import { leastStall } from '../../../helpers/stall.ts'

test('the columns of thousands of tables are found without holding up the event loop', async () => {
  const tables = Array.from({ length: 3000 }, (_, i) => `table_${i}`)
  const columns = tables.flatMap((table) =>
    Array.from({ length: 10 }, (_, i) => ({ schema: 'public', table, name: `c${i}` }) as Column),
  )
  const find = () => {
    const columnsOf = byTable(columns)
    return tables.map((table) => columnsOf('public', table).length)
  }
  expect(new Set(find())).toEqual(new Set([10]))
  expect(byTable(columns)('other', 'table_1')).toEqual([])
  expect(await leastStall(find, 200)).toBeLessThan(200)
})
