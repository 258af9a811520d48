import type postgres from 'postgres'
import { becomePlatform, schemaForm } from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'
import { Book } from './book.ts'
import { changeByHand, deployOnAndOn, endBackends } from './disturb.ts'
import { STATEMENT_TIMEOUT_SECS, type StormGateway } from './gateway.ts'
import { runClient } from './load.ts'
import { filesOf, MADE_BY_HAND } from './platform.ts'
import { countWrites, expectRight, type Miscount, report } from './verdict.ts'

export interface StormOptions {
  gateway: StormGateway
  platform: string
  /** A connection past the gateway, as its role. */
  connect(database: string): postgres.Sql
  seed: number
  clients: number
  /** The storm is over after so many calls or so long. */
  calls?: number
  seconds?: number
  /** Between two deploys; without it no client leaves, and nothing is changed or ended either. */
  deployEveryMs?: number
}

/** The share of calls whose clients go away. */
const LEAVING = 0.015
const TENANTS = [null, 'one', 'two']

/**
 * Clients call functions of every kind while the schema is deployed anew, changed by hand, and
 * backends are ended. Each answer is checked for the token of its call, each write is counted; what
 * is wrong fails the test. The counts go to the console.
 */
export async function runStorm(options: StormOptions): Promise<void> {
  const { gateway, platform, connect, seed, clients, deployEveryMs } = options
  const { calls = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY } = options
  const databases = new Map(TENANTS.map((id) => [`${platform}_${id ?? 'main'}`, id]))
  const names = [...databases.keys()]
  await prepare(options, databases)

  const book = new Book()
  const started = performance.now()
  const endsAt = started + seconds * 1000
  const isOver = () => book.calls >= calls || performance.now() >= endsAt
  const common = { url: gateway.url, platform, book, seed, isOver }
  const statementTimeoutMs = STATEMENT_TIMEOUT_SECS * 1000
  const leaving = deployEveryMs === undefined ? 0 : LEAVING
  const load = { ...common, databases, statementTimeoutMs, leaving }
  const work = Array.from({ length: clients }, (_, index) => runClient(load, index))
  if (deployEveryMs !== undefined) {
    const disturb = { ...common, databases: names, connect, deployEveryMs }
    work.push(deployOnAndOn(disturb), changeByHand(disturb), endBackends(disturb))
  }
  await Promise.all(work).catch((error) => {
    console.error(
      `The last lines of the gateway:\n${gateway.process.lines().slice(-20).join('\n')}`,
    )
    throw error
  })
  const took = (performance.now() - started) / 1000

  const miscounts: Miscount[] = []
  for (const name of names) {
    await asPlatform(options, name, async (sql) => {
      await untilQuiet(sql, name)
      miscounts.push(...(await countWrites(book, name, sql)))
    })
  }
  console.log(`STORM_SEED=${seed}: ${report(book, took)}`)
  expectRight(book, miscounts, gateway.bugs())
}

async function prepare(
  options: StormOptions,
  databases: Map<string, string | null>,
): Promise<void> {
  const archive = await pack(filesOf(0))
  for (const [name, tenant] of databases) {
    const body = schemaForm(options.platform, archive, tenant ?? undefined)
    const response = await fetch(`${options.gateway.url}/register`, { method: 'POST', body })
    if (!response.ok) throw new Error(await response.text())
    await asPlatform(options, name, (sql) => sql.unsafe(MADE_BY_HAND))
  }
}

/** Functions whose clients have left may still run. */
async function untilQuiet(sql: postgres.Sql, database: string): Promise<void> {
  for (;;) {
    const [row] = await sql<[{ busy: number }]>`
      select count(*)::int as busy from pg_stat_activity
      where datname = ${database} and state <> 'idle' and pid <> pg_backend_pid()
        and usename = current_user
    `
    if (row.busy === 0) return
    await sql`select pg_sleep(0.1)`
  }
}

async function asPlatform<T>(
  { connect }: StormOptions,
  database: string,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = connect(database)
  try {
    await becomePlatform(sql)
    return await work(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}
