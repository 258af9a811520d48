import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import type { MortalGateway } from './gateway.ts'
import { IS_OF_DEPLOY } from './locks.ts'
import type { MortalPostgres } from './postgres.ts'
import type { Random } from './random.ts'

const GATEWAY_KILLS = ['gateway: SIGKILL'] as const
const POSTGRES_KILLS = [
  'PostgreSQL: SIGKILL of the postmaster',
  'PostgreSQL: SIGQUIT, immediate shutdown',
  'PostgreSQL: SIGKILL of a deploying backend',
  'PostgreSQL: pg_terminate_backend',
] as const

export const KINDS = [...GATEWAY_KILLS, ...POSTGRES_KILLS] as const
export type Kind = (typeof KINDS)[number]

export interface World {
  gateway: MortalGateway
  postgres: MortalPostgres
  random: Random
}

/** Work that goes on, and can be hit. */
export interface Target {
  /** How many deploys there are to do. */
  deploys: number
  isOver(): boolean
}

/** So many kills, half of them the gateway's, in random order. */
export function chooseKills(random: Random, count: number): Kind[] {
  const first = random.below(POSTGRES_KILLS.length)
  const kinds = Array.from({ length: count }, (_, i): Kind => {
    if (i % 2 === 0) return GATEWAY_KILLS[0]
    return POSTGRES_KILLS[(first + (i - 1) / 2) % POSTGRES_KILLS.length]!
  })
  return random.shuffled(kinds)
}

const LONGEST_PAUSE_MS = 80

/**
 * Kills at a random moment between the begin of the first deploy and the end of the last, while at
 * least one is in its transaction.
 * @returns `performance.now()` of the kill; undefined where the work was over before
 */
export async function strike(
  kind: Kind,
  world: World,
  target: Target,
): Promise<number | undefined> {
  const { gateway, postgres, random } = world
  const goal = gateway.deploysDone() + random.below(Math.max(1, target.deploys - 2))
  const pause = random.next() * LONGEST_PAUSE_MS
  const watch = postgres.connect()
  try {
    while (gateway.deploysDone() < goal && !target.isOver()) await sleep(5)
    await sleep(pause)
    while (!target.isOver()) {
      const backends = await deployingBackends(watch, gateway.applicationName)
      const killedAt = performance.now()
      if (backends.length > 0 && (await kill(kind, random.pick(backends), world, watch))) {
        return killedAt
      }
    }
    return undefined
  } finally {
    await watch.end({ timeout: 0 })
  }
}

/** The backends that hold a lock of a deploy and are at work, in a transaction or on a database. */
async function deployingBackends(watch: postgres.Sql, applicationName: string): Promise<number[]> {
  const rows = await watch<{ pid: number }[]>`
    select pid from pg_stat_activity a
    where application_name = ${applicationName} and xact_start is not null
      and exists (
        select from pg_locks l
        where l.pid = a.pid and ${watch.unsafe(IS_OF_DEPLOY)}
      )
  `
  return rows.map(({ pid }) => pid)
}

/** Returns false where the backend was gone before. */
async function kill(
  kind: Kind,
  backend: number,
  { gateway, postgres }: World,
  watch: postgres.Sql,
): Promise<boolean> {
  switch (kind) {
    case 'gateway: SIGKILL':
      await gateway.kill()
      return true
    case 'PostgreSQL: SIGKILL of the postmaster':
      await postgres.kill('SIGKILL')
      return true
    case 'PostgreSQL: SIGQUIT, immediate shutdown':
      await postgres.kill('SIGQUIT')
      return true
    case 'PostgreSQL: SIGKILL of a deploying backend':
      return sendKill(backend)
    case 'PostgreSQL: pg_terminate_backend': {
      const [row] = await watch<
        [{ done: boolean }]
      >`select pg_terminate_backend(${backend}) as done`
      return row.done
    }
  }
}

function sendKill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}

const LONGEST_OUTAGE_MS = 600

/** Starts again what is down. */
export async function recover(kind: Kind, { gateway, postgres, random }: World): Promise<void> {
  switch (kind) {
    case 'gateway: SIGKILL':
      return gateway.start()
    case 'PostgreSQL: SIGKILL of the postmaster':
    case 'PostgreSQL: SIGQUIT, immediate shutdown':
      await sleep(random.next() * LONGEST_OUTAGE_MS)
      return postgres.start()
    // It comes back by itself.
    case 'PostgreSQL: SIGKILL of a deploying backend':
      return postgres.ready()
    case 'PostgreSQL: pg_terminate_backend':
  }
}
