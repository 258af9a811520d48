import { assertAlike } from '../deploy/psql.ts'
import { type Measured, measure } from '../measure.ts'
import { query, type Rig } from '../rig.ts'
import type { Way } from './ways.ts'

/** What is done to a tenant. */
export type Operation = 'create' | 'clone' | 'drop'

/** What each operation took in one way, in the order in which it was done. */
export interface Measurements {
  way: Way
  samples: Record<Operation, Measured[]>
}

/**
 * Creates so many tenants in each way, clones each and drops the clone, and drops them. All ways do
 * one tenant before any does the next, each of them first in turn. Tenants of a way that is not for
 * the whole life are dropped, unmeasured, when they have been made.
 * @throws {Error} where a tenant, a clone or what is left at the end is not what it is meant to be
 */
export async function measureLife(rig: Rig, ways: Way[], count: number): Promise<Measurements[]> {
  const tenants = Array.from({ length: count }, (_, i) => `t${`${i + 1}`.padStart(4, '0')}`)
  await warmUp(rig, ways)
  const all = ways.map((way) => ({ way, samples: noSamples() }))
  const whole = all.filter(({ way }) => way.isForLife)
  const time = async ({ way, samples }: Measurements, operation: Operation, work: Promised) => {
    samples[operation].push(await measure(rig, way.readCpu, work))
  }

  await inTurn(tenants, all, 'created', async (one, tenant) => {
    const { way } = one
    await time(one, 'create', () => way.create(tenant))
    await way.check(tenant)
    if (!way.isForLife) await way.drop(tenant)
  })
  await inTurn(tenants, whole, 'cloned', async (one, tenant) => {
    const { way } = one
    const clone = cloneOf(tenant)
    await time(one, 'clone', () => way.clone(tenant, clone))
    await way.checkClone(clone)
    await time(one, 'drop', () => way.drop(clone))
  })
  await inTurn(tenants, whole, 'dropped', (one, tenant) =>
    time(one, 'drop', () => one.way.drop(tenant)),
  )
  await assertDropped(rig, ways, tenants)
  return all
}

type Promised = () => Promise<void>

function noSamples(): Measurements['samples'] {
  return { create: [], clone: [], drop: [] }
}

function cloneOf(tenant: string): string {
  return `${tenant}_copy`
}

/** Each way does everything once. The databases have to come out alike. */
async function warmUp(rig: Rig, ways: Way[]): Promise<void> {
  const made = ways.map((way, i) => ({ way, tenant: `warm_up_${i}` }))
  for (const { way, tenant } of made) {
    await way.create(tenant)
    await way.check(tenant)
    await way.clone(tenant, cloneOf(tenant))
    await way.checkClone(cloneOf(tenant))
  }
  const databases = made.flatMap(({ way, tenant }) => [
    way.databaseOf(tenant),
    way.databaseOf(cloneOf(tenant)),
  ])
  await assertAlike(rig, databases)
  for (const { way, tenant } of made) {
    await way.drop(cloneOf(tenant))
    await way.drop(tenant)
  }
}

/** Does one tenant in all ways, then the next; says on stderr after each tenth how far it is. */
async function inTurn(
  tenants: string[],
  ways: Measurements[],
  done: string,
  work: (one: Measurements, tenant: string) => Promise<void>,
): Promise<void> {
  const tenth = Math.ceil(tenants.length / 10)
  for (const [i, tenant] of tenants.entries()) {
    const first = i % ways.length
    for (const one of [...ways.slice(first), ...ways.slice(0, first)]) await work(one, tenant)
    if ((i + 1) % tenth === 0) process.stderr.write(`${i + 1} of ${tenants.length} ${done}\n`)
  }
}

async function assertDropped(rig: Rig, ways: Way[], tenants: string[]): Promise<void> {
  const names = ways.flatMap((way) =>
    tenants.flatMap((tenant) => [way.databaseOf(tenant), way.databaseOf(cloneOf(tenant))]),
  )
  const left = await query(
    rig,
    undefined,
    `select count(*)::text as text from pg_database where datname in ('${names.join("', '")}')`,
  )
  if (left !== '0') throw new Error(`${left} databases are left`)
}
