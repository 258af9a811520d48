import type { SchemaFile } from '../../archive/archive.ts'
import { answers, send } from '../../postgres/pipeline.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { traced } from '../../tracing/scope.ts'
import { lineOf } from '../failure.ts'
import type { Job } from '../job.ts'
import { countFunctions, isInPlace, isTouched } from '../ledger/ledger.ts'
import { LedgerWriter } from '../ledger/writer.ts'
import type { ResetSession } from '../objects/run.ts'
import { withoutDrops } from '../objects/seeders-drop.ts'
import { goBack } from '../older/go-back.ts'
import { keptWarnings } from '../plan/keep-code.ts'
import { migrationWarnings, unknownMigrations } from '../plan/migrations.ts'
import { lookAgain } from '../replay/look.ts'
import { type DeployResult, unchangedResult } from '../result.ts'
import { type Attempt, begin, planTry, type Try } from './attempt.ts'
import { deployCode, knownObjects, planCode, sendState } from './code.ts'
import { CREATE_HELPERS, callHelpers, DROP_HELPERS, isDone } from './column-helpers.ts'
import { deployTablesOnce, fingerprint, wasCompared } from './compared.ts'
import { conclude } from './conclude.ts'
import { createExtensions } from './extensions.ts'
import { runPending, sendCommit } from './pending.ts'
import { type Passing, sendEnd } from './run-file.ts'
import { deploySchemas } from './schemas.ts'
import { runSeeders, seederWarnings } from './seeders.ts'
import { StepClock } from './step-clock.ts'
import { readLocks } from './table-locks.ts'
import { readDeclared, sendExisting } from './tables.ts'
import { addValues, deployTypes, type TypesResult, typeWarnings } from './types.ts'

/**
 * Runs one try of a deploy, and starts over if an obstacle has to be removed or enum values were
 * committed first.
 * @throws {GatewayError} as `deploy`; lock errors, after which the caller may try again
 */
export async function deployOnce(
  sql: Sql,
  attempt: Attempt,
  job: Job,
  started: number,
): Promise<DeployResult> {
  const { archive, flags } = job
  const { ledger, superseding, state } = attempt.begun ?? (await begin(sql, job))
  attempt.begun = undefined
  const writer = new LedgerWriter(sql, job.ledgerKey, ledger.keyNumber)
  const isAsked = flags.repair || flags.retry
  if (isInPlace(ledger, archive.checksum) && !isAsked) {
    await sql.unsafe('rollback')
    return unchangedResult(countFunctions(ledger), ledger.standing)
  }
  const reset = (file: SchemaFile) => sendEnd(sql, attempt.session, file)
  const back = await goBack(sql, writer, job, ledger, superseding, reset)
  if (typeof back === 'object') {
    await conclude(sql, writer, job, back, ledger.tablesChecksum, started)
    return back
  }

  const step = <T>(name: string, work: () => Promise<T>) => traced(job.span, name, {}, work)
  const all = await step('plan', () => planTry(sql, attempt, job, ledger, writer))
  const { result, guard } = all
  if (back) result.warnings.push(back)
  const clock = new StepClock(started)
  clock.end('prepare')
  const hasBase = await step('schemas, extensions, types', () => deployBase(all))
  clock.end('types')
  const mayGoOn = hasBase && (await step('migrations', () => runMigrations(all)))
  if (!mayGoOn) return deployOnce(sql, attempt, job, started)
  clock.end('migrations')
  await step('types after migrations', () => deployLaterTypes(all))
  clock.end('types')
  await step('tables', () => deployDeclared(all))
  clock.end('tables')
  await step('functions, views, triggers', () => deployAllCode(all, reset))
  clock.end('functions')
  await step('seeders', () => seed(all))
  clock.end('seeders')
  const watched = await step('check', () => guard.finish())
  result.tableChanges = watched.changes
  result.standing.push(...standingWarnings(all))
  result.warnings.push(...watched.warnings, ...lastWarnings(all), ...result.standing)
  if (flags.dryRun) result.locks = await readLocks(sql, guard.before)
  if (attempt.obstacles.setBefore) all.recording.spoil()
  const changes = await step('commit', () =>
    conclude(sql, writer, job, result, all.tablesChecksum, started),
  )
  clock.end('commit')
  result.steps = clock.times
  if (changes && state && job.scope) all.recording.keep(job.scope, state, result, changes)
  return result
}

/**
 * Brings schemas, extensions and the types that precede the migrations to the state of the files.
 * @returns false if new enum values were committed; another try has to go on from there
 */
async function deployBase(all: Try): Promise<boolean> {
  const { sql, job, attempt, ledger, writer, guard, found, migrations, knownTypes, result } = all
  const { database, archive, flags, isNew } = job
  const { files } = archive
  const schemas = ledger.filesOf('schemas')
  result.warnings.push(...(await deploySchemas(sql, database, files.schemas, schemas, guard.ask)))
  for (const file of files.schemas) writer.setFile('schemas', file)
  const extensions = await createExtensions(sql, database, files.extensions, flags.dryRun)
  result.warnings.push(...extensions.warnings)
  attempt.lacking = extensions.lacking
  if (extensions.hasChanged) all.recording.spoil()
  const { before } = migrations.types
  const mayCommit = !flags.dryRun && !isNew
  const types = await deployTypes(sql, database, before, knownTypes, guard.ask, mayCommit)
  if (types.newValues.length > 0) {
    await addValues(sql, types.newValues)
    return false
  }
  all.typesCreated = types.created
  noteTypes(all, types, before)
  // Commits, so that the migrations can use new enum values.
  const isAnyBefore = before.length + files.schemas.length > 0
  if (isNew && !flags.dryRun && found.files.length > 0 && isAnyBefore) {
    await guard.settle()
    await answers([writer.send(), ...sendCommit(sql)])
  }
  return true
}

/**
 * Runs the pending migrations.
 * @returns false if an object is in their way that the next try drops first
 */
async function runMigrations(all: Try): Promise<boolean> {
  const { sql, job, attempt, code, writer, guard, found, migrations, isTablesDue, result } = all
  const { archive, flags, isNew } = job
  const { enums, needs } = migrations
  const pending = found.files
  // An error is dropped here: `deployCode` meets and reports it again.
  const codePlan =
    pending.length > 0 && (await planCode(archive, code.ledger, true).catch(() => undefined))
  // Errors are dropped for the same reason. The comparison of one database is cached for others
  // with the same tables.
  const mayCompare = pending.length > 0 && isTablesDue
  const isToCompare = mayCompare && !wasCompared(all.tablesChecksum, pending)
  if (isToCompare) all.declared = await readDeclared(archive.files.tables).catch(() => undefined)
  if (!isNew) await attempt.obstacles.prepare(sql, pending, knownObjects(code.ledger))
  const hasHelpers = callHelpers(pending)
  if (hasHelpers) await sql.unsafe(CREATE_HELPERS)
  const run = runPending(
    {
      ...job,
      sql,
      session: attempt.session,
      writer,
      guard,
      enums,
      needs,
      isDryRun: flags.dryRun,
      sendLast: async () => {
        if (migrations.types.after.length > 0) return
        if (isTablesDue) all.print = fingerprint(sql, guard.sendTables())
        if (all.declared) sendExisting(sql, all.declared)
        if (codePlan) all.codeState = sendState(sql, codePlan, attempt.since)
        await Promise.all([all.print, all.declared?.existing, all.codeState])
      },
      onCommitted: () => {
        attempt.done = [...result.migrationsApplied]
        // A replay is one transaction, and writes what the last commit wrote to the ledger.
        all.recording.spoil()
      },
      passing: passingOf(all),
    },
    migrations.scripts,
    result,
  )
  const mayGoOn = await attempt.obstacles.lets(sql, run)
  if (mayGoOn && hasHelpers) await sql.unsafe(DROP_HELPERS)
  return mayGoOn
}

/**
 * Returns which statements of migrations may be passed over because tables/, types/ or functions/
 * already created the final state.
 */
function passingOf({ sql, ledger, migrations: { needs }, typesCreated, result }: Try): Passing {
  // The original gateway created new databases from tables/ and recorded no migration.
  const isTaken = ledger.isOfOriginal && ledger.migrations.size === 0
  const made = (name: string) =>
    (isTaken && name !== '') ||
    needs.tables.has(name) ||
    typesCreated.some((one) => one === name || one.endsWith(`.${name}`))
  return {
    mayPass: ({ facts, routine }) =>
      (routine !== undefined && needs.functions.has(routine)) ||
      made(facts.alters) ||
      made(facts.helper?.table ?? '') ||
      (facts.kind === 'RenameStmt' && facts.makes.some(made)),
    isDone: async ({ facts: { helper } }) => helper !== undefined && (await isDone(sql, helper)),
    onPassed: (file, statement) =>
      result.warnings.push(
        `${file.path}, line ${lineOf(file, statement)}: passed over, since tables/, types/ or functions/ already created the state after it`,
      ),
  }
}

/** Compares the types that migrations create or rename with their files, after the migrations. */
async function deployLaterTypes(all: Try): Promise<void> {
  const { sql, job, attempt, ledger, writer, guard, migrations, result } = all
  const { after } = migrations.types
  if (after.length === 0) return
  const mayCommit = !job.flags.dryRun
  const types = await deployTypes(sql, job.database, after, ledger.types, guard.ask, mayCommit)
  if (types.newValues.length > 0) {
    await guard.settle()
    await guard.retire()
    await answers([writer.send(), send(sql.unsafe('commit'))])
    attempt.done = [...result.migrationsApplied]
    guard.committed()
    await addValues(sql, types.newValues, false)
    await sql.unsafe('begin')
  }
  noteTypes(all, types, after)
}

/** Creates declared tables that are missing and compares all others. */
async function deployDeclared(all: Try): Promise<void> {
  const { sql, job, guard, migrations, tablesChecksum, isTablesDue, print, result } = all
  if (!isTablesDue) return
  const { tables: files } = job.archive.files
  const tables = await deployTablesOnce(
    sql,
    job.database,
    files,
    tablesChecksum,
    guard.ask,
    print,
    all.declared,
  )
  result.tablesCreated = [...migrations.needs.tables, ...tables.created]
  if (tables.created.length > 0) {
    all.codeState = undefined
    guard.forgetTables()
  }
  result.differences = tables.differences
  result.warnings.push(...tables.warnings)
}

async function deployAllCode(all: Try, reset: ResetSession): Promise<void> {
  const { sql, job, attempt, ledger, code: before, writer, guard, codeState, result } = all
  const { database, archive } = job
  const isSeeded = archive.files.seeders.every(({ name }) => ledger.seeders.has(name))
  const hints = {
    isCheckDue: isTouched(ledger) || mayHaveChanged(result),
    reset,
    state: codeState,
    sendBehind: isSeeded ? guard.sendLast : undefined,
    since: attempt.since,
    look: job.look,
    recording: all.recording,
    setBefore: attempt.obstacles.setBefore,
    kept: before.kept,
  }
  const code = await deployCode(sql, writer, database, archive, before.ledger, guard.ask, hints)
  Object.assign(result, code, { warnings: [...result.warnings, ...code.warnings] })
  result.standing.push(...(await keptWarnings(sql, before)))
}

async function seed({ sql, job, attempt, ledger, writer, guard, result }: Try): Promise<void> {
  const { database, archive } = job
  const { seeders } = archive.files
  const { session } = attempt
  const run = () =>
    runSeeders(sql, session, writer, database, seeders, ledger, guard.ask, result.warnings)
  const { applied, seeded } = await withoutDrops(sql, database, archive, ledger, run)
  result.seedersApplied = applied
  result.seeded = seeded
  if (applied.length > 0 && result.look) result.look = await lookAgain(sql, result.look)
}

function lastWarnings({ job, ledger, found }: Try): string[] {
  return migrationWarnings(job.archive.files.migrations, ledger, found)
}

/** Returns the warnings that apply for as long as the archive is in place. */
function standingWarnings({ job, ledger, found }: Try): string[] {
  const { files } = job.archive
  return [
    ...typeWarnings(files.types, ledger.types),
    ...unknownMigrations(files.migrations, ledger, found),
    ...seederWarnings(files.seeders, ledger),
  ]
}

/** Whether this deploy changed types, tables or anything else that functions may depend on. */
function mayHaveChanged({ migrationsApplied, typesChanged, tablesCreated }: DeployResult): boolean {
  return migrationsApplied.length + typesChanged.length + tablesCreated.length > 0
}

function noteTypes({ result, writer }: Try, types: TypesResult, files: SchemaFile[]): void {
  for (const file of files) writer.setFile('types', file)
  result.typesChanged.push(...types.created, ...types.changed)
  result.warnings.push(...types.warnings)
}
