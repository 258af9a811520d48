import { setTimeout as sleep } from 'node:timers/promises'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { quoteLiteral } from '../../postgres/quote.ts'
import type { Standing } from '../../tenancy/schemas/archive-order.ts'
import { inOrderSql, type Order } from '../database/in-order.ts'
import { digestOf, LEDGER_VERSION, STANDING } from '../ledger/key.ts'
import { writeSql } from '../ledger/writer.ts'
import type { DeployOrigin, DeployResult } from '../result.ts'
import { tryDeployLock, UNLOCK_DEPLOY } from '../run/session.ts'
import { lockWaitMs } from '../run/tries.ts'
import { findReplay, type Replay } from './known-replays.ts'
import { lookAtState } from './look.ts'
import type { SessionNotes } from './sessions.ts'
import {
  AS_IN_SESSION,
  IN_CATALOG,
  STANDING_BEFORE,
  type StateBefore,
  stateKey,
  wasDeployedSql,
} from './state.ts'
import { PREPARE_STATE, TAKE_STATE, TAKEN_STATE } from './state-sql.ts'

/** What `replay` needs of a request and a database. */
export interface ReplayRequest {
  scope: string
  checksum: string
  /** What is known of the session. */
  notes: SessionNotes
  order: Order
  /** Secrets of the ledger, of which one is in force. */
  ledgerKeys: string[]
  origin: DeployOrigin
  /** Called before statements run. */
  onOpen?: (() => void) | undefined
  /** Returns whether the archive is older than another one. */
  standingTo: (checksum: string) => Promise<Standing>
}

interface Before extends StateBefore {
  ledger_version: number
  number: string
  key_digest: string
  is_in_order: boolean
  was_deployed: boolean
}

/** Time that a replay waits for the one that compares the print, in milliseconds. */
const PATIENCE_MS = 300

/** Name of the statement that a session's first replay prepares; the order of a gateway stays. */
const STANDING_STATEMENT = '_db_gateway_standing'

/**
 * Statements behind the commit that leave the session as it was opened: a constraint of the archive
 * may have called a function of the platform. They give the deploy's lock back.
 */
const RESET = `
  set session authorization default;
  reset all;
  select pg_catalog.pg_advisory_unlock_all()
`

/**
 * Does to a database what an earlier deploy of the archive did to one in the same state, in two round
 * trips: nothing is planned, compared and checked again, since all of that follows from the catalogs
 * and the ledger. The first replay takes three, since it compares the print as well. One snapshot for
 * the whole transaction (REPEATABLE READ) makes the recorded state that of this deploy alone: a
 * change that another session commits meanwhile is found by the next deploy. The session is as
 * before afterwards.
 * @returns undefined if no such deploy is known, or a statement fails; nothing is changed then
 * @throws {PostgresError} if the state cannot be read
 */
export async function replay(sql: Sql, request: ReplayRequest): Promise<DeployResult | undefined> {
  // The lock comes before the snapshot, which then has all of the deploy that held it.
  const [isLocked, before] = await Promise.all([tryDeployLock(sql), sendBefore(sql, request)])
  const known = isLocked ? await findKnown(request, before) : undefined
  if (known) request.onOpen?.()
  const result = known && (await run(sql, known, request, before))
  if (!result) await sql.unsafe(`rollback; ${isLocked ? `select ${UNLOCK_DEPLOY}` : ''}`)
  return result
}

async function sendBefore(sql: Sql, { order, checksum, notes }: ReplayRequest): Promise<Before> {
  const results: unknown = await send(
    sql.unsafe(`
      begin isolation level repeatable read;
      set local statement_timeout = 0;
      set local lock_timeout = ${lockWaitMs()};
      ${IN_CATALOG};
      ${notes.isPrepared ? '' : `${PREPARE_STATE}; ${prepareStanding(order)};`}
      ${TAKE_STATE};
      execute ${STANDING_STATEMENT};
      select ${wasDeployedSql(checksum)} as was_deployed
    `),
  )
  notes.isPrepared = true
  const [taken, standing, deployed] = (results as [Before][]).slice(-3)
  return { ...standing![0], ...deployed![0], digest: taken![0].digest }
}

/**
 * Returns the statement that prepares the query for the standing of a database, once a session. It has
 * no parameters: PostgreSQL would plan it anew for the first five of its runs.
 */
function prepareStanding(order: Order): string {
  return `
    prepare ${STANDING_STATEMENT} as
    select
      s.version as ledger_version, s.number::text as number, s.digest as key_digest,
      (select is_in_order from (${inOrderSql(order)}) as fit) as is_in_order,
      ${STANDING_BEFORE}
    from _db_gateway.state() as s
  `
}

/** Returns what to do; undefined if the deploy has to look for itself. */
async function findKnown(
  { scope, standingTo, notes }: ReplayRequest,
  before: Before,
): Promise<Replay | undefined> {
  const { is_in_order, was_deployed, ledger_version, archive_checksum } = before
  const isInOrder = is_in_order && !was_deployed && ledger_version === LEDGER_VERSION
  const isFit = isInOrder && notes.hasSettingsOf(before.database)
  const state = isFit ? stateKey(before) : undefined
  const known = state === undefined ? undefined : findReplay(scope, state)
  if (!known || archive_checksum === null) return undefined
  return (await standingTo(archive_checksum)) === 'not' ? known : undefined
}

/**
 * Waits a moment for another replay that compares the print: once it is proven, others need not
 * compare it as well. The wait is short, since the other database may have more rows, or be locked.
 */
async function waitForProof({ proving }: Replay): Promise<void> {
  await Promise.race([proving, sleep(PATIENCE_MS, undefined, { ref: false })])
}

/**
 * Returns whether the statements, which are running, leave the print of the deploy that is repeated.
 * If so, that is proven for the other databases before it is committed here.
 */
function prove(sql: Sql, known: Replay, running: Promise<unknown>): Promise<boolean> {
  const looking = lookAtState(sql)
  const comparing = answers([running, looking]).then(async () => {
    const isEqual = (await looking).print === known.print
    if (isEqual) known.isProven = true
    return isEqual
  })
  const end = () => {
    if (known.proving === proving) known.proving = undefined
  }
  const proving = comparing.then(end, end)
  known.proving ??= proving
  return comparing
}

async function run(
  sql: Sql,
  known: Replay,
  { origin, ledgerKeys }: ReplayRequest,
  { number, key_digest }: Before,
): Promise<DeployResult | undefined> {
  const key = ledgerKeys.find((one) => digestOf(one, Number(number)) === key_digest)
  if (key === undefined) return undefined
  if (known.proving) await waitForProof(known)
  // The bodies are valid where the deploy was that is repeated.
  const opening = [AS_IN_SESSION, 'set local check_function_bodies = off']
  const running = sendAll(sql, [...opening, ...known.statements])
  // In a message of its own: pg_stat_activity and current_query() show the whole of one, and the
  // key is good until it is used.
  const write = () =>
    sendAll(sql, [
      IN_CATALOG,
      TAKE_STATE,
      writeReplaySql(known, origin, { key, number: Number(number) }),
      'commit',
      RESET,
    ])
  try {
    if (!known.isProven && !(await prove(sql, known, running))) return undefined
    const writing = write()
    await answers([running, writing])
    const { version } = (await writing).find((row) => row?.version !== undefined)!
    return { ...structuredClone(known.result), look: { print: known.print, version: version! } }
  } catch {
    // The deploy that follows meets the same obstacle, and knows its place in the files.
    return undefined
  }
}

/** Sends statements as one message. Returns the first row of each. */
async function sendAll(
  sql: Sql,
  statements: string[],
): Promise<({ version?: string } | undefined)[]> {
  const results: unknown = await send(sql.unsafe(statements.join('\n;\n')))
  return (results as { version?: string }[][]).map(([row]) => row)
}

/**
 * Returns the SQL query that writes the ledger. It fails if the database is not like the one whose
 * deploy is repeated.
 */
function writeReplaySql(
  { changes, content, print }: Replay,
  origin: DeployOrigin,
  key: { key: string; number: number },
): string {
  const [deployment] = changes.deployments
  const about = { request_id: origin.requestId, address: origin.address }
  const at = changes.files.findIndex(
    ({ name, section }) => section === STANDING && name === 'state',
  )
  const files = changes.files.with(at, { ...changes.files[at]!, objects: { print } })
  const given = { ...changes, files, deployments: [{ ...deployment, ...about }] }
  const all = `
    jsonb_set(
      jsonb_set(given.changes, '{deployments,0}', given.changes -> 'deployments' -> 0
        || jsonb_build_object(
          'catalog_digest', taken.state ->> 'catalog_digest',
          'execution_time_ms', round(
            extract(epoch from clock_timestamp() - transaction_timestamp()) * 1000
          )
        )),
      '{files,${at},objects,digest}', taken.state -> 'digest'
    )`
  return `
    select ${writeSql(key, all)}, taken.state ->> 'version' as version
    from (select ${TAKEN_STATE}) as taken (state),
      (select ${quoteLiteral(JSON.stringify(given))}::jsonb) as given (changes)
    where case taken.state ->> 'content'
      when ${quoteLiteral(content)} then '1' else 'other content' end::int4 = 1
  `
}
