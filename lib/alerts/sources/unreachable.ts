import type { Sql } from '../../postgres/pools/connection.ts'
import { MAIN_SERVER } from '../../servers/parse-servers.ts'
import { MOST_NAMED } from '../alert.ts'
import type { Alerts } from '../alerts.ts'

/** A server whose databases are looked at. */
export interface LookedAt {
  name: string
  /** Whether it answers, as far as that is known. */
  isUp: boolean
  /** Runs `work` in the administrative database; may run it twice. */
  use: <T>(work: (sql: Sql) => Promise<T>) => Promise<T>
  /** Connects to a database. Rejects with what it could not be connected for. */
  connect: (database: string) => Promise<unknown>
}

interface UnreachableOptions {
  /** Returns the servers that have been open. */
  servers: () => LookedAt[]
  /** Returns the name of the server that a database is on. */
  serverOf: (database: string) => string
  /** Whether an error says that there was no connection, other than for want of a free one. */
  isUnreachable: (error: unknown) => boolean
  /** Returns whether PostgreSQL itself is known not to answer. */
  isDown: () => boolean
}

/** A database that takes no connections. */
export interface Unreachable {
  database: string
  platform: string | null
  tenant_id: string | null
  reason: string
  /** Name of the server; absent for `main`. */
  server?: string
}

const LOOK_EVERY_MS = 60_000

/** Time in which an outage of PostgreSQL itself is noticed, before a single database is suspected. */
const PATIENCE_MS = 3000

/** Databases that are told apart; if there are more, one alert tells of all. */
const MOST_APART = 10
const MOST_SUSPECTED = 100
const ALL = 'tenants unreachable'

/**
 * Finds databases that take no connections while PostgreSQL answers: missing and closed ones by one
 * query a minute, others when a call could not reach them.
 */
export class UnreachableAlerts {
  readonly #alerts: Alerts
  readonly #options: UnreachableOptions
  /** Databases that calls could not reach. */
  readonly #suspected = new Set<string>()
  /** Missing and closed databases of the last look: one that is being made or dropped is not told. */
  #closed = new Set<string>()
  #told = new Map<string, Unreachable>()
  #timer: NodeJS.Timeout | undefined
  #soon: NodeJS.Timeout | undefined
  #looking: Promise<void> | undefined

  constructor(alerts: Alerts, options: UnreachableOptions) {
    this.#alerts = alerts
    this.#options = options
  }

  /** Databases that took no connections at the last look. */
  get count(): number {
    return this.#told.size
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_EVERY_MS).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
    clearTimeout(this.#soon)
  }

  /** Notes that a call could not connect to a database. */
  suspect(database: string): void {
    if (!this.#alerts.isOn || this.#suspected.size >= MOST_SUSPECTED) return
    if (this.#suspected.has(database)) return
    this.#suspected.add(database)
    this.#lookSoon()
  }

  /** Looks for databases that take no connections. Never rejects. */
  async look(): Promise<void> {
    if (!this.#alerts.isOn || this.#options.isDown()) return
    this.#looking ??= this.#look()
      .catch(() => {})
      .finally(() => {
        this.#looking = undefined
      })
    await this.#looking
  }

  async #look(): Promise<void> {
    const suspected = [...this.#suspected]
    const { serverOf, isUnreachable, isDown } = this.#options
    const servers = new Map(this.#options.servers().map((one) => [one.name, one]))
    const closed: Unreachable[] = []
    for (const server of servers.values()) closed.push(...(await this.#closedOf(server)))
    const lasting = closed.filter(({ database }) => this.#closed.has(database))
    const found = new Map(lasting.map((one) => [one.database, one]))
    if (lasting.length < closed.length) this.#lookSoon()
    this.#closed = new Set(closed.map(({ database }) => database))
    for (const database of suspected.filter((one) => !found.has(one))) {
      const server = servers.get(serverOf(database))
      // The outage of the server is told, not each of its databases.
      if (!server?.isUp) continue
      const error = await server.connect(database).then(
        () => undefined,
        (failure) => failure,
      )
      if (error !== undefined && isUnreachable(error)) {
        const one = await server.use((sql) => describe(sql, database, error))
        found.set(database, { ...one, ...named(server) })
      } else {
        this.#suspected.delete(database)
      }
    }
    if (!isDown()) this.#tell(found)
  }

  /** Missing and closed databases of a server; those of the last look while it is away. */
  async #closedOf(server: LookedAt): Promise<Unreachable[]> {
    try {
      if (!server.isUp) throw new Error('It is away')
      return (await server.use(readClosed)).map((one) => ({ ...one, ...named(server) }))
    } catch (error) {
      const { name } = server
      if (name === MAIN_SERVER) throw error
      return [...this.#told.values()].filter((one) => one.server === name)
    }
  }

  #lookSoon(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined
      this.look()
    }, PATIENCE_MS).unref()
  }

  #tell(found: Map<string, Unreachable>): void {
    const before = this.#told
    this.#told = found
    const isMany = found.size > MOST_APART
    const wasMany = before.size > MOST_APART
    if (wasMany && !isMany) this.#endMany(before, found)
    if (!wasMany) this.#endApart(before, found, isMany)
    if (isMany) {
      const named = [...found.values()].slice(0, MOST_NAMED)
      this.#alerts.begin({
        type: 'tenant.unreachable',
        key: ALL,
        text: `${found.size} databases take no connections`,
        data: { count: found.size, databases: named },
      })
      return
    }
    for (const [database, one] of found) {
      this.#alerts.begin({
        type: 'tenant.unreachable',
        key: `tenant:${database}`,
        text: `Database ${database} takes no connections: ${one.reason}`,
        data: { ...one },
      })
    }
  }

  /** Ends what was told of all; what is still found is told apart from now on. */
  #endMany(before: Map<string, Unreachable>, found: Map<string, Unreachable>): void {
    const back = [...before.values()].filter(({ database }) => !found.has(database))
    const left = found.size === 0 ? '' : `; ${found.size} still take none`
    this.#alerts.end(ALL, {
      type: 'tenant.reachable',
      text: `${back.length} databases take connections again${left}`,
      data: { count: back.length, databases: back.slice(0, MOST_NAMED) },
    })
  }

  /** Ends what was told apart: what is still found is told with all, if there are many now. */
  #endApart(
    before: Map<string, Unreachable>,
    found: Map<string, Unreachable>,
    isMany: boolean,
  ): void {
    for (const [database, one] of before) {
      const key = `tenant:${database}`
      if (!found.has(database)) {
        const text = `Database ${database} takes connections again`
        this.#alerts.end(key, { type: 'tenant.reachable', text, data: { ...one } })
      } else if (isMany) this.#alerts.end(key)
    }
  }
}

function named({ name }: LookedAt): { server?: string } {
  return name === MAIN_SERVER ? {} : { server: name }
}

/** Returns the databases of the catalog that are missing or closed; at most 1,000. */
function readClosed(sql: Sql): Promise<Unreachable[]> {
  return sql<Unreachable[]>`
    select c.database, c.platform, c.tenant_id,
      case when d.oid is null then 'it does not exist' else 'ALLOW_CONNECTIONS is false' end as reason
    from _db_gateway_databases c
    left join pg_database d on d.datname = c.database
    where d.oid is null or not d.datallowconn or d.datconnlimit = -2
    order by c.database limit 1000
  `
}

async function describe(sql: Sql, database: string, error: unknown): Promise<Unreachable> {
  const [row] = await sql<{ platform: string; tenant_id: string | null }[]>`
    select platform, tenant_id from _db_gateway_databases where database = ${database}
  `
  const { message, details } = error as Error & { details?: { cause?: string } }
  const reason = details?.cause ?? message
  return { database, platform: row?.platform ?? null, tenant_id: row?.tenant_id ?? null, reason }
}
