import { GatewayError } from '../../errors.ts'
import type { Server } from '../hosts/server.ts'
import { quoteLiteral } from '../quote.ts'

/**
 * Kind of a connection. `sql`: for the gateway's own SQL, through postgres.js. `wire`: for calls,
 * through a session of the gateway's own protocol code.
 */
export type Speaks = 'sql' | 'wire'

/** Encoding of everything that the gateway sends and receives. */
export const ENCODING = 'UTF8'

/**
 * The idle time and the interval are in seconds. The server closes the connection of an unreachable
 * gateway after 90 s; with its default settings it would take more than two hours.
 */
const KEEPALIVES = {
  tcp_keepalives_idle: 60,
  tcp_keepalives_interval: 10,
  tcp_keepalives_count: 3,
}

/**
 * Milliseconds after which PostgreSQL looks again whether the gateway is there while a statement runs, and
 * ends it if not. There is no tcp_user_timeout: it would also end a session whose rows the gateway reads as
 * slowly as their client does.
 */
const CLIENT_CHECK_MS = 2000

/**
 * What PgBouncer takes of a startup packet and keeps for each client. It refuses other parameters,
 * or drops them where ignore_startup_parameters names them.
 */
const PASSED_BY_POOLERS = new Set([
  ...['user', 'database', 'client_encoding', 'application_name', 'TimeZone', 'DateStyle'],
])

export interface SessionOptions {
  database: string
  /** Default: `sql`. */
  speaks?: Speaks
  statementTimeoutMs: number
}

/** How a session begins. */
export interface SessionStart {
  /** Startup parameters. */
  parameters: Record<string, string | number>
  /**
   * Behind a pooler: statements for what the startup parameters lack and what is no server's default
   * (see lib/postgres/pooler.ts), and one that asks for the id of PostgreSQL's process. RESET ALL undoes
   * them.
   */
  settings: string
}

/** Returns the startup parameters of a session, and the statements that go before all others. */
export function sessionStart(server: Server, user: string, options: SessionOptions): SessionStart {
  const { database, speaks = 'sql', statementTimeoutMs } = options
  // JIT can take seconds to compile catalog queries that run for milliseconds. Calls keep JIT.
  const jit: Record<string, string> = speaks === 'sql' ? { jit: 'off' } : {}
  const parameters = {
    user,
    database,
    client_encoding: ENCODING,
    application_name: server.applicationName,
    TimeZone: 'UTC',
    DateStyle: 'ISO, MDY',
    IntervalStyle: 'postgres',
    bytea_output: 'hex',
    extra_float_digits: 1,
    statement_timeout: statementTimeoutMs,
    ...jit,
    ...KEEPALIVES,
    ...(server.checksClient && { client_connection_check_interval: CLIENT_CHECK_MS }),
  }
  if (!server.pooler) return { parameters, settings: '' }
  const passed = Object.entries(parameters).filter(([name]) => PASSED_BY_POOLERS.has(name))
  const { application_name } = parameters
  const settings = Object.entries({
    application_name,
    statement_timeout: statementTimeoutMs,
    ...jit,
  })
  return {
    parameters: Object.fromEntries(passed),
    settings: settings
      .map(([name, value]) => `set ${name} = ${quoteLiteral(`${value}`)};`)
      .concat('select pg_catalog.pg_backend_pid() as pid;')
      .join(' '),
  }
}

/** Returns the error of a session whose client_encoding a function has changed. */
export function otherEncoding(encoding: string): GatewayError {
  return new GatewayError(
    'query_failed',
    `client_encoding was left set to ${encoding} in a session whose answers have to be ${ENCODING}; ` +
      'the function may have run',
    { may_have_run: true },
  )
}
