import { GatewayError } from '../../errors.ts'

/**
 * What a connection is for. `sql`: the gateway's own SQL, by postgres.js. `wire`: calls, by a
 * session of the gateway's own.
 */
export type Speaks = 'sql' | 'wire'

/** Encoding of all that the gateway sends and takes. */
export const ENCODING = 'UTF8'

/**
 * In seconds: the server notices, too, that the way to the gateway is gone. Until then it keeps the
 * connection, which is none of the gateway's any more; by itself it would for two hours.
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
  /** `sql` unless given. */
  speaks?: Speaks
  statementTimeoutMs: number
}

/** The settings that a session starts with. */
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
    // Compiling takes seconds for queries of the catalogs that take milliseconds. Calls keep it.
    ...(speaks === 'sql' && { jit: 'off' }),
    ...KEEPALIVES,
  }
}

/** What such a session writes is not what it is taken for. */
export function otherEncoding(encoding: string): GatewayError {
  return new GatewayError(
    'query_failed',
    `client_encoding was left set to ${encoding} in a session whose answers have to be ${ENCODING}; ` +
      'the function may have run',
    { may_have_run: true },
  )
}
