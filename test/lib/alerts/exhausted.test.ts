import { expect, test } from 'vitest'
import type { Alert } from '../../../lib/alerts/alert.ts'
import type { Alerts } from '../../../lib/alerts/alerts.ts'
import { ExhaustedAlerts } from '../../../lib/alerts/sources/exhausted.ts'
import type { PoolsReport } from '../../../lib/postgres/pools/pool-report.ts'

test('the refused requests of a database that was dropped and made anew are told', () => {
  const told: unknown[] = []
  const alerts = { raise: ({ data }: Alert) => told.push(data.refused) } as unknown as Alerts
  let total = 0
  let pools: { database: string; platform: string; exhausted: number }[] = []
  const report = () => ({ pools }) as unknown as PoolsReport
  const exhausted = new ExhaustedAlerts(alerts, () => total, report)
  const look = (refused: number, ...counts: number[]) => {
    total += refused
    pools = counts.map((count, i) => ({ database: `d${i}`, platform: 'p', exhausted: count }))
    exhausted.look()
  }
  look(5, 5)
  look(2, 2)
  look(1, 3)
  look(0, 3)
  look(4, 3, 4)
  // Dropped and made anew between two looks, of which one sees it gone.
  look(1, 3)
  look(6, 3, 6)
  expect(told).toEqual([5, 2, 1, 4, 6])
})
