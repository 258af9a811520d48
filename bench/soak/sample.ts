import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sample } from './probe.ts'

const LOOK_EVERY_MS = 5

/**
 * Asks the probes in all processes of a gateway, the parent first, which also begin anew. One that has
 * ended is left out.
 * @param prefix SOAK_PROBE of the gateway
 */
export async function sampleProcesses(prefix: string, signal?: AbortSignal): Promise<Sample[]> {
  const name = `${basename(prefix)}.`
  const files = readdirSync(dirname(prefix)).filter((file) => file.startsWith(name))
  const pids = files.map((file) => Number(file.slice(name.length)))
  const samples = await Promise.all(pids.map((pid) => sample(`${prefix}.${pid}`, pid, signal)))
  return samples.filter((one) => one !== undefined).sort((one, other) => one.worker - other.worker)
}

async function sample(
  file: string,
  pid: number,
  signal: AbortSignal | undefined,
): Promise<Sample | undefined> {
  const lines = () => readFileSync(file, 'utf8').split('\n').slice(0, -1)
  const { length } = lines()
  if (!tell(pid, 'SIGURG')) return undefined
  while (lines().length === length) {
    await sleep(LOOK_EVERY_MS, undefined, { signal })
    if (!tell(pid, 0)) return undefined
  }
  return JSON.parse(lines().at(-1)!) as Sample
}

/** Sends a signal; 0 is none. Returns whether the process is there. */
function tell(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
