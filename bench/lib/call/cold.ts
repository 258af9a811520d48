import { ownCpu, residentMemory, serverCpu } from '../cpu.ts'
import type { Files } from '../deploy/clinic.ts'
import { forEach, median } from '../measure.ts'
import type { Rig } from '../rig.ts'
import { digits, table } from '../table.ts'
import { itemFiles, PLATFORM } from './platform.ts'

export interface ColdJob {
  tenants: number
  /** The functions of each tenant. */
  names: string[]
  /** Tenants that are called at once. */
  atOnce: number
}

/** What the calls of one phase cost, in all. */
interface Phase {
  calls: number
  /** Seconds of CPU. */
  postgres: number
  gateway: number
  /** Of each call, in milliseconds. */
  times: number[]
}

const PHASES = ['connection', 'first call', 'second call'] as const

export function functionName(index: number): string {
  return `item_${index}`
}

/** A function that is called to open a connection, and those that are measured: no two are alike. */
export function coldFiles(names: string[]): Files {
  const text = (name: string, index: number) =>
    `create or replace function ${name}(p_id integer, p_note text default null)
     returns table (id integer, name text, price numeric) language plpgsql as $$
     begin
       if p_id is null then raise exception 'no item'; end if;
       return query select i.id, i.name, i.price + ${index} from items i where i.id = p_id;
     end $$;`
  return {
    ...itemFiles(100),
    ...Object.fromEntries(names.map((name, i) => [`functions/${name}.pssql`, text(name, i)])),
  }
}

/**
 * Calls tenants group by group: a function that opens the connection, each measured function, and
 * each measured function again. Prints what a call of each phase costs.
 */
export async function measureCold(rig: Rig, { tenants, names, atOnce }: ColdJob): Promise<void> {
  const phases = new Map<string, Phase>(
    PHASES.map((name) => [name, { calls: 0, postgres: 0, gateway: 0, times: [] }]),
  )
  const rssBefore = residentMemory(rig.gatewayPid)
  for (let first = 0; first < tenants; first += atOnce) {
    rig.signal.throwIfAborted()
    const count = Math.min(atOnce, tenants - first)
    const group = Array.from({ length: count }, (_, i) => `t${first + i}`)
    for (const name of PHASES) {
      await measurePhase(
        rig,
        phases.get(name)!,
        group,
        name === 'connection' ? ['get_item'] : names,
      )
    }
  }
  print(phases)
  const more = (residentMemory(rig.gatewayPid) - rssBefore) / 1e6
  console.log(`The gateway has ${digits(more)} MB of RSS more than before the first call.`)
}

async function measurePhase(
  rig: Rig,
  phase: Phase,
  group: string[],
  names: string[],
): Promise<void> {
  const postgres = serverCpu(rig.postmaster)
  const gateway = ownCpu(rig.gatewayPid)
  await forEach(group, group.length, async (tenant) => {
    // One after the other, so that a tenant has one connection.
    for (const name of names) phase.times.push(await call(rig, tenant, name))
  })
  phase.calls += group.length * names.length
  phase.postgres += serverCpu(rig.postmaster) - postgres
  phase.gateway += ownCpu(rig.gatewayPid) - gateway
}

/** Returns how long it took, in milliseconds. */
async function call({ gatewayUrl, signal }: Rig, tenant: string, name: string): Promise<number> {
  const started = performance.now()
  const response = await fetch(`${gatewayUrl}/call`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ platform: PLATFORM, tenant_id: tenant, function: name, params: [7] }),
    signal,
  })
  const text = await response.text()
  const ms = performance.now() - started
  if (!response.ok || JSON.parse(text).rows[0]?.id !== 7) throw new Error(`${tenant}: ${text}`)
  return ms
}

function print(phases: Map<string, Phase>): void {
  const rows = [['', 'calls', 'PostgreSQL CPU ms', 'gateway CPU ms', 'p50 ms', 'longest']]
  const perCall = ({ calls }: Phase, seconds: number) => (seconds * 1000) / calls
  for (const [name, phase] of phases) {
    rows.push([
      name,
      `${phase.calls}`,
      perCall(phase, phase.postgres).toFixed(2),
      perCall(phase, phase.gateway).toFixed(2),
      digits(median(phase.times)),
      digits(phase.times.reduce((most, ms) => Math.max(most, ms), 0)),
    ])
  }
  const [, first, second] = [...phases.values()]
  const more = perCall(first!, first!.postgres) - perCall(second!, second!.postgres)
  console.log(`${table(rows)}\n`)
  console.log(
    `A first call costs PostgreSQL ${more.toFixed(2)} ms more than a second one; aim: 1 ms.`,
  )
}
