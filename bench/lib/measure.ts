import { serverCpu } from './cpu.ts'
import type { Rig } from './rig.ts'
import { withSuperuser } from './settings.ts'

/** What a piece of work took. */
export interface Measured {
  seconds: number
  /** CPU seconds of the client: the gateway, or all psql processes. */
  clientCpu: number
  /** CPU seconds of PostgreSQL. */
  serverCpu: number
}

/** Measures work, after a checkpoint: nobody pays for the writes of what was measured before. */
export async function measure(
  rig: Rig,
  readClientCpu: () => number,
  work: () => Promise<void>,
): Promise<Measured> {
  rig.signal.throwIfAborted()
  await checkpoint(rig)
  const clientBefore = readClientCpu()
  const serverBefore = serverCpu(rig.postmaster)
  const started = performance.now()
  await work()
  return {
    seconds: (performance.now() - started) / 1000,
    clientCpu: readClientCpu() - clientBefore,
    serverCpu: serverCpu(rig.postmaster) - serverBefore,
  }
}

/** CHECKPOINT takes a privilege that the gateway's role has not. */
async function checkpoint(rig: Rig): Promise<void> {
  await withSuperuser(rig, (sql) => sql.unsafe('checkpoint'))
}

/** Runs `work` for each of the items, in order, some at once. */
export async function forEach<T>(
  items: T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0
  const worker = async () => {
    while (next < items.length) await work(items[next++]!)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
}

export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
