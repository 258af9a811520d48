import { describe, expect, test, vi } from 'vitest'
import { hasHaproxy } from '../helpers/haproxy.ts'
import { startLoads } from './load.ts'
import { endLoads, serveSome, startWorld } from './world.ts'

vi.setConfig({ testTimeout: 300_000 })

describe.runIf(hasHaproxy())('three gateways behind HAProxy', () => {
  test('are restarted one after the other under load without a failed request', async () => {
    const { haproxy, gateways, platform, start } = await startWorld(3)
    const loads = startLoads(haproxy.url, platform)
    await serveSome(loads)
    for (let i = 0; i < 3; i++) {
      gateways[i]!.kill('SIGTERM')
      expect(await gateways[i]!.exit).toEqual({ code: 0, signal: null })
      gateways[i] = await start(i)
      await gateways[i]!.url()
      await haproxy.until('UP', 'UP', 'UP')
      await serveSome(loads)
    }
    const failed = await endLoads(loads, gateways)
    expect(failed).toEqual([])
  })

  test('go on while HAProxy is reloaded, again and again', async () => {
    const { haproxy, gateways, platform } = await startWorld(2)
    const loads = startLoads(haproxy.url, platform)
    for (let i = 0; i < 5; i++) {
      await serveSome(loads)
      await haproxy.reload()
    }
    await serveSome(loads)
    expect(await endLoads(loads, gateways)).toEqual([])
  })
})
