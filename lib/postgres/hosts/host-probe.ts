import { NOT_PRIMARY } from '../errors.ts'
import { Connection } from '../pools/connection.ts'
import { directRoute, type Route } from './route.ts'
import { describeHost, type Server, type SessionAttrs } from './server.ts'

/** One session with one host, to ask whether it is the primary. */
export class Probe {
  readonly host: Server
  readonly #connection: Connection
  #hasAnswered = false

  constructor(host: Server, attrs: SessionAttrs, timeoutMs: number) {
    this.host = host
    const route: Route = {
      ...directRoute(host),
      refusal: (_, parameter, value) => refusalOf(attrs, host, parameter, value),
    }
    const options = {
      database: host.database,
      route,
      connectTimeoutMs: timeoutMs,
      statementTimeoutMs: timeoutMs,
    }
    this.#connection = new Connection(host, options, () => {})
  }

  /**
   * @returns the host's timeline
   * @throws {Error} NOT_PRIMARY; as `openSocket`; from PostgreSQL, which refuses the session
   */
  async ask(): Promise<number> {
    const [row] = await this.#connection.sql<{ file: string }[]>`
      select pg_walfile_name(pg_current_wal_lsn()) as file
    `
    this.#hasAnswered = true
    // PostgreSQL manual, "WAL Internals": the first 8 hexadecimal digits are the timeline.
    return Number.parseInt(row!.file.slice(0, 8), 16)
  }

  /** Closes a session that has answered; cuts any other. */
  async end(): Promise<void> {
    if (this.#hasAnswered) await this.#connection.close()
    else this.#connection.destroy()
  }
}

/** PostgreSQL reports `in_hot_standby` and `default_transaction_read_only` since version 14. */
export function refusalOf(
  attrs: SessionAttrs,
  host: Server,
  parameter: string,
  value: string,
): Error | undefined {
  if (attrs === 'any' || value !== 'on') return undefined
  if (parameter === 'in_hot_standby') return notPrimary(`${describeHost(host)} is a standby`)
  if (attrs === 'read-write' && parameter === 'default_transaction_read_only') {
    return notPrimary(`${describeHost(host)} is read-only`)
  }
  return undefined
}

function notPrimary(message: string): Error {
  return Object.assign(new Error(message), { code: NOT_PRIMARY })
}
