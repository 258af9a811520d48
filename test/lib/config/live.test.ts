import { expect, test } from 'vitest'
import { live, withSettings } from '../../../lib/config/live.ts'

test('views follow the settings, and parts go before settings of their names', () => {
  const config = { most: 1, server: 'of the settings' }
  const view = live(config, { limit: 'most' })
  const all = withSettings(config, { server: 'a part', log: 'another' })
  config.most = 2
  expect({ ...view }).toEqual({ limit: 2 })
  expect({ ...all }).toEqual({ most: 2, server: 'a part', log: 'another' })
})
