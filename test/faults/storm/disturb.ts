import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { becomePlatform, type Json, schemaForm } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'
import { Random } from '../random.ts'
import type { Book } from './book.ts'
import { CHANGES } from './by-hand.ts'
import { filesOf } from './platform.ts'

export interface DisturbOptions {
  url: string
  platform: string
  databases: string[]
  book: Book
  seed: number
  deployEveryMs: number
  connect(database: string): postgres.Sql
  isOver(): boolean
}

/** Deploys version after version to all databases. */
export async function deployOnAndOn(options: DisturbOptions): Promise<void> {
  for (let version = 1; await pause(options, options.deployEveryMs); version++) {
    const archive = await pack(filesOf(version))
    const body = schemaForm(options.platform, archive, undefined, { force: 'true' })
    options.book.deployedAt = Number.POSITIVE_INFINITY
    const response = await fetch(`${options.url}/migrate`, { method: 'POST', body })
    const answer = (await response.json()) as Json
    options.book.deployedAt = performance.now()
    options.book.count(`deploy ${[response.status, answer.error].filter(Boolean).join(' ')}`)
    // Locks of calls may be in its way; the next version brings what this one has not.
    if (response.status >= 500 && answer.error === 'internal_error') {
      options.book.enterWrong('a deploy', { version, answer })
    }
  }
}

/** Changes functions, types and tables on a connection of its own. */
export async function changeByHand(options: DisturbOptions): Promise<void> {
  const random = new Random(options.seed)
  for (let n = 1; await pause(options, 700); n++) {
    const database = random.pick(options.databases)
    await onConnection(options, database, async (sql) => {
      await becomePlatform(sql)
      await sql.unsafe("set lock_timeout = '2s'")
      const change = CHANGES[n % CHANGES.length]!
      // Each kind of change in turn takes the one way and the other.
      await sql.unsafe(change(Math.floor(n / CHANGES.length)))
      return 'by hand'
    })
  }
}

/** Ends backends of the gateway. */
export async function endBackends(options: DisturbOptions): Promise<void> {
  const random = new Random(options.seed + 1)
  while (await pause(options, 1000)) {
    const database = random.pick(options.databases)
    await onConnection(options, database, async (sql) => {
      await becomePlatform(sql)
      const [row] = await sql`
        select pg_terminate_backend(pid) as done from pg_stat_activity
        where datname = ${database} and pid <> pg_backend_pid()
          and application_name = 'db-gateway' and usename = current_user
        order by state = 'active' desc, random() limit 1
      `
      return row?.done ? 'ended a backend' : 'found no backend'
    })
  }
}

/** @returns false when the storm is over */
async function pause({ isOver }: DisturbOptions, ms: number): Promise<boolean> {
  const until = performance.now() + ms
  while (!isOver() && performance.now() < until) await sleep(50)
  return !isOver()
}

async function onConnection(
  { connect, book }: DisturbOptions,
  database: string,
  work: (sql: postgres.Sql) => Promise<string>,
): Promise<void> {
  const sql = connect(database)
  try {
    book.count(await work(sql))
  } catch (error) {
    book.count(`failed by hand: ${(error as Error).message}`)
  } finally {
    await sql.end({ timeout: 1 })
  }
}
