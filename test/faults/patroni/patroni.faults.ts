import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { hasHaproxy } from '../../helpers/haproxy.ts'
import { eventually } from '../../helpers/process.ts'
import { Load, type Made } from '../calls-load.ts'
import { SETTINGS } from '../calls-platform.ts'
import { judge } from '../calls-verdict.ts'
import { Random } from '../random.ts'
import { registerProcess } from '../setup.ts'
import { PatroniCluster } from './cluster.ts'
import { PrimaryProxy } from './haproxy.ts'
import { BEATS, firstToCommit } from './lookout.ts'
import type { PatroniNode } from './node.ts'
import { missingPrograms } from './programs.ts'
import { type Line, tableOf } from './table.ts'
import { APPLICATION, World } from './world.ts'

const SEED = Number(process.env.FAULTS_SEED || Date.now() % 1_000_000)
const PLATFORM = 'patroni'
const TENANTS = ['t1', 't2', 't3', 't4']
const CLIENTS = 12
const AROUND_MS = 1500

/** From the first commit of the new primary until a write in each database has succeeded. */
const BACK_MS = 3000

interface Fault {
  name: string
  /** Hurts the node that leads. */
  strike(leader: PatroniNode): Promise<unknown>
  /** Whether the node may lead afterwards too; default: one of the others does. */
  mayLeadAgain?: true
  /** Brings the node back. */
  heal?: (leader: PatroniNode) => Promise<unknown>
  /** Something that holds while the new primary leads and the old node is not healed. */
  meanwhile?: (old: PatroniNode) => Promise<void>
}

const folder = inject('faultsFolder')
const random = new Random(SEED)
const lines: Line[] = []
const missing = missingPrograms()
let cluster: PatroniCluster
let world: World

beforeAll(async () => {
  if (missing) return
  process.env.TMPDIR = folder
  registerProcess(folder, process.pid)
  cluster = await PatroniCluster.start(folder)
  await cluster.query(BEATS)
}, 120_000)

afterAll(async () => {
  console.log(`\nFAULTS_SEED=${SEED}: ${CLIENTS} clients\n${tableOf(lines)}\n`)
  await cluster?.stop()
})

beforeEach(({ skip }) => {
  if (missing) skip(missing)
})

afterEach(() => world?.stop())

async function strikeUnderLoad(fault: Fault, url = cluster.url(APPLICATION)): Promise<void> {
  world = await World.start(folder, url, SETTINGS)
  await world.register(PLATFORM, TENANTS)
  const name = `${fault.name.replaceAll(/\W+/g, '_')}-${random.below(1e6)}`
  const options = { url: world.url, platform: PLATFORM, tenants: TENANTS, clients: CLIENTS, random }
  const load = new Load({ ...options, name })
  await sleep(AROUND_MS)

  const old = await cluster.leader()
  const struckAt = performance.now()
  const others = cluster.nodes.filter((node) => node !== old)
  // One that leads again is looked for after the fault, since it leads before.
  const early = fault.mayLeadAgain ? undefined : firstToCommit(others)
  await fault.strike(old)
  const commit = early ?? firstToCommit(cluster.nodes)
  const [leader, acceptedAt, backAt] = await comesBack(load, commit, old, fault).finally(() =>
    fault.heal?.(old),
  )
  await cluster.whole()
  await sleep(AROUND_MS)
  const made = await load.stop()

  const verdict = await judge(cluster, PLATFORM, made)
  const late = made.filter((one) => one.endedAt > backAt + BACK_MS && one.outcome !== 'right')
  const line = {
    name: fault.name,
    verdict,
    decidedMs: acceptedAt - struckAt,
    backMs: backAt - acceptedAt,
    late: late.length,
  }
  lines.push(line)
  console.log(tableOf([line]))
  if (late.length > 0) console.log(JSON.stringify(late.slice(0, 3)))
  expect(await cluster.leader()).toBe(leader)
  expect(world.bugs()).toEqual([])
  expect(line.backMs).toBeLessThan(BACK_MS)
  expect(verdict.outcomes.get('right')).toBeGreaterThan(CLIENTS)
}

/** Waits until each tenant has been written to by the gateway; returns when that was. */
async function comesBack(
  load: Load,
  commit: Promise<[PatroniNode, number]>,
  old: PatroniNode,
  { meanwhile }: Fault,
): Promise<[PatroniNode, number, number]> {
  const [leader, acceptedAt] = await commit
  const isBack = () => TENANTS.every((tenant) => firstWrite(load.made, tenant, acceptedAt))
  await eventually('all tenants are back', isBack).catch((error) => {
    throw new Error(`${error.message}\n${world.changes().join('\n')}`)
  })
  const firsts = TENANTS.map((tenant) => firstWrite(load.made, tenant, acceptedAt)!.endedAt)
  await sleep(AROUND_MS)
  await meanwhile?.(old)
  return [leader, acceptedAt, Math.max(...firsts)]
}

/** The first write in a database that was right after this moment. */
function firstWrite(made: Made[], tenant: string, after: number): Made | undefined {
  return made.find(
    (one) => one.tenant === tenant && one.isNoted && one.outcome === 'right' && one.endedAt > after,
  )
}

/**
 * Nothing of the gateway goes on at the node. Sessions that were cut while their commit waits for a
 * standby are there until the node is demoted.
 */
async function isLeft(old: PatroniNode): Promise<void> {
  const look = async () => {
    const [row] = await old.query(`
      select count(*)::int as used from pg_stat_activity
      where application_name = '${APPLICATION}' and datname like '${PLATFORM}\\_%'
        and (state <> 'active' or query_start > clock_timestamp() - interval '1 second')
    `)
    return row.used as number
  }
  // A node that is being demoted answers when it has restarted.
  const used = await eventually('the old node answers', () => look().catch(() => undefined))
  expect(used).toBe(0)
}

const FAULTS: Fault[] = [
  {
    name: 'switchover',
    strike: async (leader) => cluster.switchover(leader, await cluster.synchronous()),
  },
  {
    name: 'SIGKILL of PostgreSQL',
    strike: async (leader) => leader.signalPostgres('SIGKILL'),
    mayLeadAgain: true,
  },
  {
    name: 'SIGKILL of PostgreSQL and Patroni',
    strike: async (leader) => {
      await leader.killPatroni()
      leader.signalPostgres('SIGKILL')
    },
    heal: (leader) => leader.startPatroni(),
  },
  {
    name: 'SIGKILL of Patroni alone',
    strike: (leader) => leader.killPatroni(),
    meanwhile: isLeft,
    heal: (leader) => leader.startPatroni(),
  },
  {
    name: 'SIGSTOP of the node',
    strike: async (leader) => leader.signalAll('SIGSTOP'),
    heal: async (leader) => leader.signalAll('SIGCONT'),
  },
  {
    name: 'the node is cut off',
    strike: async (leader) => leader.isolate(true),
    meanwhile: isLeft,
    heal: async (leader) => leader.isolate(false),
  },
  {
    name: 'the way to PostgreSQL is cut for 5 s',
    strike: async (leader) => {
      leader.network.blackHole()
      await sleep(5000)
      leader.network.heal()
    },
    mayLeadAgain: true,
  },
  {
    name: 'etcd is away for 20 s',
    strike: async () => {
      await cluster.etcd.kill()
      await sleep(20_000)
      expect((await fetch(`${world.url}/ready`)).status).toBe(503)
      await cluster.etcd.start()
    },
    mayLeadAgain: true,
  },
]

describe('with Patroni, nothing acknowledged is lost and calls go on after a fault:', () => {
  for (const fault of FAULTS) {
    it(fault.name, () => strikeUnderLoad(fault), 240_000)
  }
})

/** Each way in which a node ceases to lead: told, by an end, without a word. */
const BEHIND_HAPROXY = ['switchover', 'SIGKILL of PostgreSQL and Patroni', 'SIGSTOP of the node']

describe.runIf(hasHaproxy())('with HAProxy before the nodes of Patroni, the same after:', () => {
  for (const fault of FAULTS.filter(({ name }) => BEHIND_HAPROXY.includes(name))) {
    const name = `${fault.name}, behind HAProxy`
    it(name, async () => {
      const proxy = await PrimaryProxy.start(folder, cluster.nodes)
      const url = `${cluster.url(APPLICATION, proxy.host)}&target_session_attrs=primary`
      await strikeUnderLoad({ ...fault, name }, url).finally(() => proxy.stop())
    }, 240_000)
  }
})
