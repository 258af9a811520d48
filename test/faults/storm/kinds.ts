import type { Json } from '../../helpers/gateway.ts'
import type { Random } from '../random.ts'

/** An error that is right. */
export interface ExpectedError {
  status: number
  sqlstate?: string
  /** `error` of the answer where there is no SQLSTATE. */
  error?: string
  /** The token of the call stands in `cause`. */
  hasToken?: boolean
  /** Right only where a deploy went on during the call. */
  duringDeploy?: boolean
}

/** One call of a function, and what may become of it. */
export interface Call {
  token: string
  kind: Kind
  params: Json
  /** As the query of a GET, for functions that are STABLE. */
  query?: Record<string, string>
  timeoutMs?: number
  session?: Record<string, string>
  /** Rows with the token that the call leaves in the table `writes`, if it succeeds. */
  writes: number
  /** Says whether these rows are right; undefined: the call has to fail. */
  isRight: ((rows: Json[]) => boolean) | undefined
  errors: ExpectedError[]
}

/** A function of the storm and how it is called. */
export interface Kind {
  /** The function's name. */
  name: string
  /** How often it is drawn, compared with others. */
  weight: number
  /** Its definition in a database of the platform; in the archive unless `isByHand`. */
  sql: string
  /** A connection of its own creates it, and changes it meanwhile. */
  isByHand?: boolean
  /** It may leave something in its session, which others in its transaction would find. */
  leaves?: boolean
  isSlow?: boolean
  /** What it did before an error may stay. */
  isProcedure?: boolean
  /** Each run moves the sequence `runs` by one, whatever becomes of it. */
  countsRuns?: boolean
  call(token: string, random: Random): Partial<Omit<Call, 'token' | 'kind' | 'isRight'>> & Answer
}

type Answer = {
  /** The rows that are right. */
  rows?: object[]
  isRight?: (rows: Json[]) => boolean
}

/**
 * A call that began before a table or type was altered, and meets the change in the middle: its
 * record has other columns than its plan. PostgreSQL says so in every session.
 */
export const ALTERED_MEANWHILE: ExpectedError = { status: 500, sqlstate: '42804' }

/** Draws a call of this kind. */
export function callOf(kind: Kind, token: string, random: Random): Call {
  const { rows, isRight, ...more } = kind.call(token, random)
  return {
    token,
    kind,
    params: [token],
    writes: 0,
    errors: [],
    isRight: isRight ?? (rows && ((found) => JSON.stringify(found) === JSON.stringify(rows))),
    ...more,
  }
}

/** A function in PL/pgSQL whose first parameter is the call's token. */
export function plpgsql(name: string, body: string, { more = '', returns = 'text' } = {}): string {
  return `create or replace function ${name}(p_token text${more}) returns ${returns}
    language plpgsql as $f$ ${body} $f$;`
}

/** A function in SQL whose first parameter is the call's token. */
export function sql(
  name: string,
  body: string,
  { more = '', returns = 'text', volatility = '' } = {},
): string {
  return `create or replace function ${name}(p_token text${more}) returns ${returns}
    language sql ${volatility} as $f$ ${body} $f$;`
}
