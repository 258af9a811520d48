import { expect, test } from 'vitest'
import { readConfig } from '../../../lib/config.ts'
import { dividedSettings } from '../../../lib/workers/divided-settings.ts'

test('limits of the service are divided among its workers, rounded up', () => {
  const config = readConfig({ MIGRATE_CONCURRENCY: '10', MAX_WAITING_DEPLOYS: '7' })
  expect(dividedSettings(config, 4)).toMatchObject({ migrateConcurrency: 3, maxWaitingDeploys: 2 })
})

test('each worker deploys, and none has deploys wait where the service has none wait', () => {
  const config = readConfig({ MIGRATE_CONCURRENCY: '1', MAX_WAITING_DEPLOYS: '0' })
  expect(dividedSettings(config, 4)).toMatchObject({ migrateConcurrency: 1, maxWaitingDeploys: 0 })
})
