import type { FleetPlatform } from './fleet.ts'
import { FLEET_STATES, type FleetRow } from './fleet-rows.ts'

const NUMBERS = ['databases', ...FLEET_STATES] as const

/**
 * Adds up the platforms of several servers, by name. The archive is that of the first server that knows
 * one; the time of the last look for drift is the earliest, of the servers that had one.
 */
export function joinFleets([first = [], ...others]: FleetPlatform[][]): FleetPlatform[] {
  if (others.length === 0) return first
  const sums = new Map(first.map((one) => [one.platform, { ...one }]))
  for (const one of others.flat()) {
    const sum = sums.get(one.platform)
    if (!sum) {
      sums.set(one.platform, { ...one })
      continue
    }
    for (const name of NUMBERS) sum[name] += one[name]
    sum.schema ??= one.schema
    sum.drift_checked_at = earliest(sum.drift_checked_at, one.drift_checked_at)
  }
  return [...sums.values()].sort((one, other) => (one.platform < other.platform ? -1 : 1))
}

/** The order of `Fleet.databases`: main databases first, then by name. */
export function byDatabase(one: FleetRow, other: FleetRow): number {
  const isMain = ({ tenant_id, schema_name }: FleetRow) =>
    Number((tenant_id ?? schema_name) === null)
  return isMain(other) - isMain(one) || (one.database < other.database ? -1 : 1)
}

function earliest(one: string | null, other: string | null): string | null {
  if (one === null || other === null) return one ?? other
  return one < other ? one : other
}
