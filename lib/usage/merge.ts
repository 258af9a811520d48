import { GatewayError } from '../errors.ts'
import type { ShownCounts, UsageQuery } from './read.ts'
import type { DaysByKey, ShownUsage } from './usage.ts'

/** An entry of one server, or of all: its key, and what is shown of it. */
export interface UsageEntry {
  key: string
  shown: ShownUsage & { server?: string }
}

/**
 * Adds up the entries of several servers by key, and returns the page that is asked for.
 * @param entries all entries of each server
 * @throws {GatewayError} invalid_request if there is no entry `after`
 */
export function mergeUsage(
  entries: UsageEntry[][],
  { order, after, limit }: Pick<UsageQuery, 'order' | 'after' | 'limit'>,
): UsageEntry[] {
  const sums = new Map<string, UsageEntry>()
  for (const { key, shown } of entries.flat()) {
    const sum = sums.get(key)?.shown
    if (!sum) {
      sums.set(key, { key, shown: { ...shown, since_start: { ...shown.since_start } } })
      continue
    }
    // A server that it was moved from may not know it any more.
    sum.tenant_id ??= shown.tenant_id
    sum.schema_name ??= shown.schema_name
    addShown(sum, shown)
    addShown(sum.since_start, shown.since_start)
  }
  const all = [...sums.values()].sort(
    (one, other) => other.shown[order] - one.shown[order] || (one.key < other.key ? -1 : 1),
  )
  const from = after === undefined ? 0 : all.findIndex(({ key }) => key === after) + 1
  if (after !== undefined && from === 0) {
    throw new GatewayError('invalid_request', `after names no entry of these days: ${after}`)
  }
  return all.slice(from, limit === undefined ? undefined : from + limit)
}

/** Adds the days of each server to the entries. */
export function addDays(entries: UsageEntry[], ofServers: DaysByKey[]): void {
  for (const { key, shown } of entries) {
    const days = new Map<string, NonNullable<ShownUsage['days']>[number]>()
    for (const one of ofServers.flatMap((byKey) => byKey.get(key) ?? [])) {
      const sum = days.get(one.day)
      if (sum) addShown(sum, one)
      else days.set(one.day, { ...one })
    }
    shown.days = [...days.values()].sort((one, other) => (one.day < other.day ? -1 : 1))
  }
}

function addShown(sum: ShownCounts, other: ShownCounts): void {
  sum.calls += other.calls
  sum.errors += other.errors
  sum.database_seconds = Math.round((sum.database_seconds + other.database_seconds) * 1e6) / 1e6
  sum.bytes += other.bytes
  sum.deploys += other.deploys
}
