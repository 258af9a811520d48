import { setTimeout as sleep } from 'node:timers/promises'
import type { World } from './calls.ts'
import { everyPostgres } from './servers.ts'

const EVERY_MS = 12_000

/** Every so many faults PostgreSQL is restarted; else some backends are ended. */
const RESTART_EVERY = 4

/** Breaks something now and then; gives how often. */
export async function keepBreaking(world: World): Promise<Record<string, number>> {
  const all = everyPostgres(world.servers)
  const done: Record<string, number> = {}
  const count = (what: string, times = 1) => {
    done[what] = (done[what] ?? 0) + times
  }
  for (let turn = 1; ; turn++) {
    await sleep(EVERY_MS, undefined, { signal: world.signal }).catch(() => {})
    if (world.signal.aborted) return done
    const isOver = world.tally.disturb()
    const postgres = all[world.random(all.length)]!
    const where = world.servers.some(({ replica }) => replica === postgres) ? ' of the replica' : ''
    if (turn % RESTART_EVERY === RESTART_EVERY / 2) {
      const mode = turn % (2 * RESTART_EVERY) < RESTART_EVERY ? 'fast' : 'immediate'
      await postgres.restart(mode)
      count(`${mode} restarts${where || ' of PostgreSQL'}`)
    } else {
      count(`backends${where} ended`, await postgres.terminate(1 + world.random(3)))
    }
    isOver()
  }
}
