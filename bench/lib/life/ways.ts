import { endedCpu, ownCpu } from '../cpu.ts'
import { checkDeploy, type Deployed, postJson } from '../deploy/gateway.ts'
import type { Loop } from '../deploy/psql.ts'
import { EXPECTED, MIGRATIONS } from '../deploy/template.ts'
import { query, type Rig } from '../rig.ts'

export const PLATFORM = 'life'

/** One way of making, copying and dropping a tenant. Each method does one tenant. */
export interface Way {
  name: string
  /** Whether its tenants are cloned and dropped too, or only created. */
  isForLife: boolean
  /** CPU seconds of the client so far: the gateway, or all psql processes. */
  readCpu(): number
  databaseOf(tenant: string): string
  create(tenant: string): Promise<void>
  clone(tenant: string, to: string): Promise<void>
  drop(tenant: string): Promise<void>
  /** @throws {Error} where the tenant was not made in this way */
  check(tenant: string): Promise<void>
  /** @throws {Error} where the clone lacks the row that `check` has added to the tenant */
  checkClone(clone: string): Promise<void>
}

/** By the gateway: from the template, or from the files where it has TEMPLATES=off. */
export function gatewayWay(rig: Rig, from: 'template' | 'files'): Way {
  const idOf = (tenant: string) => `${from}_${tenant}`
  const databaseOf = (tenant: string) => `${PLATFORM}_${idOf(tenant)}`
  const named = (tenant: string) => ({ platform: PLATFORM, tenant_id: idOf(tenant) })
  const addRow = async (tenant: string, expected: number) => {
    const body = { ...named(tenant), function: 'function_1', params: ['a name'] }
    const { rows } = await postJson<{ rows: { function_1: number }[] }>(rig, '/call', body)
    if (rows[0]?.function_1 === expected) return
    throw new Error(`${tenant}: row ${expected} was expected: ${JSON.stringify(rows)}`)
  }
  return {
    name: from === 'template' ? 'gateway' : 'gateway, TEMPLATES=off',
    // From then on its tenants are as any others.
    isForLife: from === 'template',
    readCpu: () => ownCpu(rig.gatewayPid),
    databaseOf,
    create: async (tenant) => {
      const body = { ...named(tenant), deploy: true }
      checkDeploy(await postJson<Deployed>(rig, '/admin/create-tenant', body), EXPECTED)
    },
    clone: async (tenant, to) => {
      await postJson(rig, '/admin/clone-tenant', { ...named(tenant), to: idOf(to) })
    },
    drop: async (tenant) => {
      const body = { ...named(tenant), confirm: databaseOf(tenant), dump: false }
      await postJson(rig, '/admin/drop-tenant', body)
    },
    check: async (tenant) => {
      // Files commit each migration by itself; a copy's ledger has the time of the copy.
      const times = await query(
        rig,
        databaseOf(tenant),
        'select count(distinct applied_at)::text as text from _db_gateway_migrations',
      )
      const expected = from === 'template' ? 1 : MIGRATIONS
      if (Number(times) !== expected) throw new Error(`${tenant} was not made from the ${from}`)
      await addRow(tenant, 1)
    },
    checkClone: (clone) => addRow(clone, 2),
  }
}

/** By createdb and psql, in databases of its own. */
export function loopWay(loop: Loop): Way {
  const databaseOf = (tenant: string) => `loop_${tenant}`
  return {
    name: 'psql',
    isForLife: true,
    readCpu: endedCpu,
    databaseOf,
    create: (tenant) => loop.first(databaseOf(tenant)),
    clone: (tenant, to) =>
      loop.administer(`create database ${databaseOf(to)} template ${databaseOf(tenant)}`),
    drop: (tenant) => loop.administer(`drop database ${databaseOf(tenant)}`),
    // Its exit status tells.
    check: async () => {},
    checkClone: async () => {},
  }
}
