import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { parseDatabaseUrl } from '../../lib/postgres/hosts/server.ts'
import { afterTest } from '../helpers/after-test.ts'
import { startProxy, urlThrough } from '../helpers/behind-proxy.ts'
import { hasHaproxy } from '../helpers/haproxy.ts'
import { call, send, startLoad } from './load.ts'
import { endLoads, serveSome, startWorld, type World } from './world.ts'

vi.setConfig({ testTimeout: 300_000 })

/** Calls of each kind: some read, some write, and some of these have an Idempotency-Key. */
function startCalls({ haproxy: { url }, platform }: World) {
  return [
    startLoad('post', 4, 2, async (number) => {
      await call(url, platform, 'send_back', [number])
    }),
    startLoad('get', 4, 2, async () => {
      const { status, text } = await send(`${url}/call/${platform}/count_marks`, undefined)
      if (status !== 200) throw new Error(`${status} ${text}`)
    }),
    startLoad('write', 6, 2, async (number) => {
      await call(url, platform, 'mark', [`write ${number}`, 0.2])
    }),
    startLoad('keyed', 4, 2, async (number) => {
      const key = { 'idempotency-key': `key-${number}` }
      await call(url, platform, 'mark', [`keyed ${number}`, 0.2], key)
    }),
  ]
}

/** Each call that was answered has written once, and none that failed twice. */
async function expectOnce({ haproxy, platform }: World, answered: number, failed: number) {
  const rows = await call(haproxy.url, platform, 'count_marks', [])
  expect(rows.filter(({ times }) => Number(times) !== 1)).toEqual([])
  expect(rows.length).toBeGreaterThanOrEqual(answered)
  expect(rows.length).toBeLessThanOrEqual(answered + failed)
}

describe.runIf(hasHaproxy())('behind HAProxy', () => {
  test('a gateway that is killed costs only the POSTs that it ran, which are not repeated', async () => {
    const world = await startWorld(3)
    const { haproxy, gateways, start } = world
    const loads = startCalls(world)
    const [, , writes, keyed] = loads
    for (let round = 0; round < 3; round++) {
      await serveSome(loads, 20)
      gateways[round]!.kill('SIGKILL')
      await gateways[round]!.exit
      await serveSome(loads, 20)
      gateways[round] = await start(round)
      await gateways[round]!.url()
      await haproxy.until('UP', 'UP', 'UP')
    }
    const failed = await endLoads(loads, [])
    const posts = failed.filter((one) => /^(write|post) /.test(one))
    expect(failed.filter((one) => !posts.includes(one))).toEqual([])
    expect(posts.filter((one) => !/ 502 .*"may_have_run":true/.test(one))).toEqual([])
    expect(posts.length).toBeGreaterThan(0)
    // Those in flight on three gateways, each of which had at most all clients.
    expect(posts.length).toBeLessThanOrEqual(3 * 10)
    await expectOnce(world, writes!.answered() + keyed!.answered(), writes!.failed().length)
  })

  test('a frozen gateway gets no requests once it has failed two checks', async () => {
    const world = await startWorld(3)
    const { haproxy, gateways } = world
    const loads = startCalls(world)
    await serveSome(loads, 20)
    const began = performance.now()
    gateways[1]!.kill('SIGSTOP')
    afterTest(() => gateways[1]!.kill('SIGCONT'))
    await haproxy.until('UP', 'DOWN', 'UP')
    const noticedMs = performance.now() - began
    console.log(`a frozen gateway is noticed after ${Math.round(noticedMs)} ms`)
    expect(noticedMs).toBeLessThan(15_000)
    const asked = Array.from({ length: 20 }, async (_, i) => {
      const at = performance.now()
      await call(haproxy.url, world.platform, 'send_back', [i])
      return performance.now() - at
    })
    expect(Math.max(...(await Promise.all(asked)))).toBeLessThan(10_000)
    // What it had begun goes on.
    gateways[1]!.kill('SIGCONT')
    await haproxy.until('UP', 'UP', 'UP')
    await serveSome(loads, 20)
    expect(await endLoads(loads, [])).toEqual([])
    await expectOnce(world, loads[2]!.answered() + loads[3]!.answered(), 0)
  })

  test('a gateway that loses PostgreSQL gets no requests until it has it again', async () => {
    const proxy = await startProxy()
    afterTest(() => proxy.stop())
    const world = await startWorld(2, {}, (index, url) =>
      index === 0 ? urlThrough(proxy, parseDatabaseUrl(url).database) : url,
    )
    const { haproxy } = world
    const loads = startCalls(world)
    await serveSome(loads, 20)
    const began = performance.now()
    proxy.cutNext(Infinity)
    proxy.cut()
    await haproxy.until('DOWN', 'UP')
    const noticedMs = performance.now() - began
    console.log(`a gateway without PostgreSQL is out after ${Math.round(noticedMs)} ms`)
    await sleep(500)
    const before = loads.flatMap((load) => load.failed())
    await serveSome(loads, 50)
    expect(loads.flatMap((load) => load.failed())).toEqual(before)
    proxy.heal()
    await haproxy.until('UP', 'UP')
    await serveSome(loads, 20)
    const failed = await endLoads(loads, [])
    expect(failed.filter((one) => !/ 50[34] .*"error":"connection_failed"/.test(one))).toEqual([])
  })
})
