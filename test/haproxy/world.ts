import { afterTest } from '../helpers/after-test.ts'
import { createAdminDatabase, dropAdminDatabase, uniqueName } from '../helpers/gateway.ts'
import { type Haproxy, startHaproxy } from '../helpers/haproxy.ts'
import { eventually, freePort, type GatewayProcess, startProcess } from '../helpers/process.ts'
import { deploy, type Load, release } from './load.ts'

const PATIENCE_MS = 120_000

/** Gateways as processes behind an HAProxy, on one PostgreSQL. */
export interface World {
  haproxy: Haproxy
  gateways: GatewayProcess[]
  ports: number[]
  platform: string
  /** Starts a gateway on the port of the one with this index, with the same settings. */
  start(index: number): Promise<GatewayProcess>
}

/** Starts gateways, and HAProxy with deploy/haproxy.cfg, and registers a platform with a tenant. */
export async function startWorld(
  count: number,
  settings: Record<string, string> = {},
  urlOf: (index: number, url: string) => string = (_, url) => url,
): Promise<World> {
  const url = await createAdminDatabase()
  afterTest(() => dropAdminDatabase(url))
  const ports: number[] = []
  for (let i = 0; i < count; i++) ports.push(await freePort())
  const start = (index: number) =>
    startProcess({
      DATABASE_URL: urlOf(index, url),
      GATEWAY_PORT: `${ports[index]}`,
      TRUSTED_PROXIES: '127.0.0.1',
      KEEP_ALIVE_SECS: '600',
      ...settings,
    })
  const gateways = await Promise.all(ports.map((_, i) => start(i)))
  await Promise.all(gateways.map((gateway) => gateway.url()))
  const haproxy = await startHaproxy(ports)
  const platform = uniqueName('behind')
  for (const tenant of [undefined, 'a', 'b']) {
    await deploy(haproxy.url, '/register', platform, release(0), tenant)
  }
  return { haproxy, gateways, ports, platform, start }
}

/** Resolves when each load has had some more answers. */
export async function serveSome(loads: Load[], more = 2): Promise<void> {
  const enough = loads.filter(({ kind }) => kind !== 'events')
  const before = enough.map(({ answered, failed }) => answered() + failed().length)
  const isServed = () =>
    enough.every(({ answered, failed }, i) => answered() + failed().length >= before[i]! + more)
  // A /migrate waits for its turn among the processes of three gateways.
  await eventually('all are served', isServed, PATIENCE_MS)
}

/** Stops the loads, prints what they did, and returns what failed. */
export async function endLoads(loads: Load[], gateways: GatewayProcess[]): Promise<string[]> {
  const ended = Promise.all(loads.map((load) => load.stop()))
  // Streams of events end with their gateways.
  if (loads.some(({ kind }) => kind === 'events')) for (const one of gateways) one.kill('SIGTERM')
  await ended
  for (const { kind, answered, failed } of loads) {
    console.log(`${kind}: ${answered()} answered, ${failed().length} failed`)
  }
  return loads.flatMap(({ failed }) => failed())
}
