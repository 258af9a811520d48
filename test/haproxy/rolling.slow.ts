import { describe, expect, test, vi } from 'vitest'
import { hasHaproxy } from '../helpers/haproxy.ts'
import { startLoads } from './load.ts'
import { endLoads, serveSome, startWorld } from './world.ts'

vi.setConfig({ testTimeout: 600_000, hookTimeout: 180_000 })

describe.runIf(hasHaproxy())('three gateways behind HAProxy', () => {
  test.each(['1', '2'])(
    'are restarted one after the other under load without a failed request, with WORKERS=%s',
    async (workers) => {
      const { haproxy, gateways, platform, start } = await startWorld(3, { WORKERS: workers })
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
    },
  )

  test('lose requests without SHUTDOWN_DELAY_SECS: the control of the test above', async () => {
    const { haproxy, gateways, platform, start } = await startWorld(3, { SHUTDOWN_DELAY_SECS: '0' })
    const loads = startLoads(haproxy.url, platform)
    await serveSome(loads)
    const lost = () => loads.flatMap(({ failed }) => failed())
    let restarts = 0
    for (; restarts < 30 && lost().length === 0; restarts++) {
      const i = restarts % 3
      gateways[i]!.kill('SIGTERM')
      await gateways[i]!.exit
      gateways[i] = await start(i)
      await gateways[i]!.url()
      await haproxy.until('UP', 'UP', 'UP')
      await serveSome(loads)
    }
    const failed = await endLoads(loads, gateways)
    console.log(`${restarts} restarts, ${failed.length} lost: ${failed[0]}`)
    expect(failed).not.toEqual([])
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
