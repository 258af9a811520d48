import { GatewayError } from '../../errors.ts'

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

export interface SessionOptions {
  applicationName: string
  user: string
  database: string
  /** Default: `sql`. */
  speaks?: Speaks
  statementTimeoutMs: number
}

/** Returns the startup parameters of a session. */
export function sessionParameters({
  applicationName,
  user,
  database,
  speaks = 'sql',
  statementTimeoutMs,
}: SessionOptions): Record<string, string | number> {
  return {
    user,
    database,
    client_encoding: ENCODING,
    application_name: applicationName,
    TimeZone: 'UTC',
    DateStyle: 'ISO, MDY',
    IntervalStyle: 'postgres',
    bytea_output: 'hex',
    extra_float_digits: 1,
    statement_timeout: statementTimeoutMs,
    // JIT can take seconds to compile catalog queries that run for milliseconds. Calls keep JIT.
    ...(speaks === 'sql' && { jit: 'off' }),
    ...KEEPALIVES,
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
