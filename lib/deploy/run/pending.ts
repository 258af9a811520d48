import type { SchemaFile } from '../../archive/archive.ts'
import { inTurns } from '../../common/in-slices.ts'
import { answers, type Sent, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { fileFailure } from '../failure.ts'
import type { LedgerWriter } from '../ledger/writer.ts'
import type { LossGuard } from '../loss/loss-guard.ts'
import { mayLoseData, readDirectives } from '../plan/directives.ts'
import { addBefore, type EnumPlan } from '../plan/enum-values.ts'
import type { Needs } from '../plan/needs.ts'
import type { DeployResult } from '../result.ts'
import { prepareOutside, runOutside } from './outside.ts'
import { type Passing, runScripts, type Script, sendEnd, sendScript } from './run-file.ts'
import type { DeploySession } from './session.ts'
import type { TimeLimit } from './time-limit.ts'

/** What `runPending` needs. */
export interface PendingRun {
  sql: Sql
  session: DeploySession
  writer: LedgerWriter
  database: string
  guard: LossGuard
  /** How long a statement outside of a transaction is retried for its lock, in milliseconds. */
  lockTimeoutMs: number
  limit: TimeLimit
  /** Whether the database is new and in no use; each migration is committed then. */
  isNew: boolean
  isDryRun: boolean
  enums: EnumPlan
  /** Creates what a migration names before it runs. */
  needs: Needs
  passing: Passing
  /** Sends the queries to run after the last migration, in the same round trip. */
  sendLast: () => Sent
  /** Called when everything in `result` so far is committed. */
  onCommitted: () => void
}

/**
 * Runs the pending migrations and adds them to `result`. A no-transaction migration, or one with
 * new enum values, splits the deploy into two transactions; in a new database each migration is
 * committed.
 * @throws {GatewayError} migration_failed; data_loss
 */
export async function runPending(
  run: PendingRun,
  scripts: Script[],
  result: DeployResult,
): Promise<void> {
  await run.needs.provideFor(scripts.map(({ file }) => file))
  for (const group of groupBySession(run, scripts)) {
    const files = group.map(({ file }) => file)
    const [first] = files
    if (run.enums.before.has(first!)) await commitBefore(run, first!)
    if (run.needs.isNeededBy(first!)) await run.needs.provideFor(files)
    if (readDirectives(first!).noTransaction) {
      if (!(await runFirstOutside(run, first!, result))) continue
    } else if (run.isNew && !run.isDryRun && !mayPass(run, group)) {
      await runAndCommitEach(run, group)
    } else {
      await runTogether(run, group, scripts.at(-1) === group.at(-1))
    }
    result.migrationsApplied.push(...files.map(({ name }) => name))
    if (isCommitted(run, first!, files.at(-1)!)) run.onCommitted()
  }
}

/**
 * Commits the migrations so far and adds the enum values that the next migration needs, so that it
 * can use them.
 */
async function commitBefore(run: PendingRun, file: SchemaFile): Promise<void> {
  const { sql, writer, guard, database, enums } = run
  await guard.settle()
  await guard.retire()
  await answers([writer.send(), send(sql.unsafe('commit'))])
  run.onCommitted()
  await addBefore(sql, database, enums, file)
  await sql.unsafe('begin')
  guard.committed()
}

function isCommitted({ isNew, isDryRun, enums }: PendingRun, first: SchemaFile, last: SchemaFile) {
  if (isDryRun) return false
  return isNew || readDirectives(first).noTransaction || enums.commitAfter.has(last)
}

/** @returns whether it ran; a dry run does not run it */
async function runFirstOutside(
  {
    sql,
    session,
    writer,
    database,
    guard,
    lockTimeoutMs,
    limit,
    isDryRun,
    onCommitted,
    isNew,
  }: PendingRun,
  file: SchemaFile,
  result: DeployResult,
): Promise<boolean> {
  await prepareOutside(sql, database, file, guard)
  if (isDryRun) {
    result.migrationsNotRun.push(file.name)
    return false
  }
  await guard.settle()
  await guard.retire()
  writer.setMigration(file, 'begun')
  await answers([writer.send(), send(sql.unsafe('commit'))])
  onCommitted()
  guard.served()
  await runOutside(sql, writer, database, file, guard, { session, lockTimeoutMs, limit, isNew })
  await sql.unsafe('begin')
  result.warnings.push(...(await guard.afterCommitted(file)))
  return true
}

async function runTogether(run: PendingRun, group: Script[], isLast: boolean): Promise<void> {
  const sendLast = isLast ? run.sendLast : undefined
  const { sql, session, writer, guard, isDryRun, enums } = run
  const { file: last } = group.at(-1)!
  const isLosing = mayLoseData(last)
  if (isLosing) await guard.settle()
  await inFiles(run, () =>
    runScripts(sql, session, toRun(run, group), guard.ask, run.passing, sendLast),
  )
  for (const { file } of group) writer.setMigration(file)
  if (isLosing) await guard.forgive()
  const isToCommit = run.isNew || enums.commitAfter.has(last)
  if (isDryRun || !isToCommit) return
  if (!isLosing) await guard.settle()
  await guard.retire()
  await answers([writer.send(), ...sendCommit(sql)])
  guard.committed()
}

/**
 * Sends all migrations in one round trip, each with its own commit. A migration's ledger row comes
 * first: its key is only valid if the previous migration was committed, so after a failure no later
 * migration runs.
 */
async function runAndCommitEach(run: PendingRun, group: Script[]): Promise<void> {
  const { sql, session, writer } = run
  const sent: Sent[] = []
  for (const script of toRun(run, group)) {
    writer.setMigration(script.file)
    sent.push(writer.send())
    await inTurns(script.statements, (statement) => {
      for (const one of sendScript(sql, { ...script, statements: [statement] })) sent.push(one)
    })
    sent.push(sendEnd(sql, session, script.file), ...sendCommit(sql))
  }
  await inFiles(run, () => answers(sent))
}

function mayPass({ passing }: PendingRun, group: Script[]): boolean {
  return group.some(({ statements }) => statements.some(passing.mayPass))
}

function toRun({ enums }: PendingRun, group: Script[]): Script[] {
  return group.map(({ file, statements }) => ({
    file,
    statements: statements.filter((statement) => !enums.passedOver.has(statement)),
  }))
}

/** Sends COMMIT and BEGIN. */
export function sendCommit(sql: Sql): Sent[] {
  return [send(sql.unsafe('commit')), send(sql.unsafe('begin'))]
}

async function inFiles({ database }: PendingRun, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    throw fileFailure('migration_failed', 'Migration', database, error)
  }
}

/**
 * Groups neighbouring migrations that run in the same way. A no-transaction migration, and one that
 * may lose data, is a group of its own. A migration that needs objects created first begins a
 * group; one that must be committed ends one.
 */
function groupBySession(run: PendingRun, scripts: Script[]): Script[][] {
  const { enums, needs } = run
  const groups: Script[][] = []
  let isOpen = false
  for (const script of scripts) {
    const { file } = script
    const standsAlone = readDirectives(file).noTransaction || mayLoseData(file)
    const isAlike = mayPass(run, [script]) === mayPass(run, groups.at(-1) ?? [])
    if (isOpen && isAlike && !standsAlone && !needs.isNeededBy(file) && !enums.before.has(file))
      groups.at(-1)?.push(script)
    else groups.push([script])
    isOpen = !standsAlone && !enums.commitAfter.has(file)
  }
  return groups
}
