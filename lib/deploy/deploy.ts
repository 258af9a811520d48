import type { SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { Sql } from '../postgres/connection.ts'
import { endsConnection, fromPostgres, isConnectionLost } from '../postgres/errors.ts'
import { answers, send } from '../postgres/pipeline.ts'
import { CODE_SECTIONS, deployCode, knownFiles, knownObjects, planCode, sendState } from './code.ts'
import { checksumOf, deployTablesOnce, fingerprint } from './compared.ts'
import { conclude, recordFailure, withCommitted } from './conclude.ts'
import { addAhead, isUnsafeEnumUse, uncheckedUse } from './enum-values.ts'
import { createExtensions, lackingExtension } from './extensions.ts'
import { lineOf } from './failure.ts'
import { hasNothing } from './has-nothing.ts'
import { WayForMigrations } from './in-the-way.ts'
import type { Job } from './job.ts'
import { countFunctions, isInPlace, isTouched, readLedger } from './ledger.ts'
import { LedgerWriter } from './ledger-writer.ts'
import { readLocks } from './locks.ts'
import { findPending, migrationWarnings, repairMigrations } from './migrations.ts'
import { checkNothingMissing } from './missing.ts'
import { collectWarnings } from './notices.ts'
import { withoutDrops } from './objects/seeders-drop.ts'
import type { CodeState } from './objects/state.ts'
import { readVersions } from './objects/taken-over.ts'
import { goBack } from './older/go-back.ts'
import { findSuperseding } from './older/ledger.ts'
import { runsOnlyCode } from './only-code.ts'
import { runPending, sendCommit } from './pending.ts'
import { planMigrations } from './plan.ts'
import { type Allowance, type DeployResult, unchangedResult } from './result.ts'
import { sendEnd } from './run-file.ts'
import { deploySchemas } from './schemas.ts'
import { runSeeders, seederWarnings } from './seeders.ts'
import { type DeploySession, openDeploySession } from './session.ts'
import { TableWatch } from './table-watch.ts'
import { lockWaitMs, patiently } from './tries.ts'
import { addValues, deployTypes, type TypesResult, typeWarnings, withoutMissing } from './types.ts'

/**
 * Brings a database to the archive's schema, under a lock that lets one deploy at a time into it:
 * in one transaction, so that all of it is done or nothing is. (Migrations that ask to run outside
 * of a transaction divide it there.) What came of it is written into the database's own ledger.
 * The session is not as it was afterwards: close the connection.
 * @throws {GatewayError} saying which file failed, and where; data_loss; functions_missing
 */
export async function deploy(sql: Sql, job: Job): Promise<DeployResult> {
  const started = performance.now()
  const attempt: Attempt = {
    session: { lockTimeoutMs: 0, checksClient: false },
    begun: undefined,
    done: [],
    isFirst: undefined,
    versions: undefined,
    lacking: [],
    way: new WayForMigrations(),
    result: undefined,
  }
  const warnings = collectWarnings()
  job.listen?.(warnings.hear)
  try {
    const result = await job.limit.over(async () => {
      const { session, begun } = await openDeploySession(sql, lockWaitMs(), job.limit, () =>
        begin(sql, job),
      )
      attempt.session = session
      attempt.begun = begun
      const undo = () => sql.unsafe('rollback')
      return patiently(job.lockTimeoutMs, job.limit, undo, () =>
        deployOnce(sql, attempt, job, started),
      )
    })
    result.warnings.push(...warnings.told())
    return result
  } catch (error) {
    const failure = fromPostgres(error, job.database)
    const unchecked = job.flags.dryRun && !isLostBy(error, failure) && uncheckedBy(failure, attempt)
    if (unchecked && attempt.result) {
      await sql.unsafe('rollback')
      attempt.result.warnings.push(unchecked)
      return attempt.result
    }
    const told = withCommitted(failure, job, attempt.done)
    const isKept = !job.flags.dryRun && !job.isNew && !isLostBy(error, failure)
    if (isKept) await recordFailure(sql, job, told, attempt.done, started)
    throw told
  }
}

function isLostBy(error: unknown, failure: unknown): boolean {
  return endsConnection(error) || isConnectionLost(failure)
}

/** Why a dry run fails where a deploy may not: what it says of that, and undefined otherwise. */
function uncheckedBy(failure: unknown, { lacking }: Attempt): string | undefined {
  if (isUnsafeEnumUse(failure)) return uncheckedUse(failure)
  return failure instanceof GatewayError ? lackingExtension(failure, lacking) : undefined
}

/** What the tries of one deploy share. */
interface Attempt {
  session: DeploySession
  /** The beginning of the first try. */
  begun: Awaited<ReturnType<typeof begin>> | undefined
  /** Migrations that are committed. */
  done: string[]
  /** There was nothing in the database before the first try: nobody has anything to lose. */
  isFirst: boolean | undefined
  /** How what files of code have made was before the first try. */
  versions: Promise<Map<string, string>> | undefined
  /** Extensions that a dry run does not install. */
  lacking: string[]
  way: WayForMigrations
  /** Of the last try, as far as it came. */
  result: DeployResult | undefined
}

/** Begins the transaction of a deploy, and reads what it has to know first: in one round trip. */
async function begin(sql: Sql, { archive, older }: Job) {
  const [, ledger, superseding] = await Promise.all([
    send(sql.unsafe('begin')),
    readLedger(sql),
    older && findSuperseding(sql, archive.checksum),
  ])
  return { ledger, superseding }
}

/** One try. */
async function deployOnce(
  sql: Sql,
  attempt: Attempt,
  job: Job,
  started: number,
): Promise<DeployResult> {
  const { database, archive, flags, isNew } = job
  const { files } = archive
  const { session } = attempt
  const { ledger, superseding } = attempt.begun ?? (await begin(sql, job))
  attempt.begun = undefined
  const writer = new LedgerWriter(sql, job.ledgerKey, ledger.keyNumber)
  const isAsked = flags.repair || flags.retry
  if (isInPlace(ledger, archive.checksum) && !isAsked) {
    await sql.unsafe('rollback')
    return unchangedResult(countFunctions(ledger))
  }

  const reset = (file: SchemaFile) => sendEnd(sql, session, file)
  const back = await goBack(sql, writer, job, ledger, superseding, reset)
  if (back) return conclude(sql, writer, job, back, ledger.tablesChecksum, started)

  const result: DeployResult = { ...unchangedResult(0), isUnchanged: false }
  result.migrationsApplied.push(...attempt.done)
  attempt.result = result
  const found = findPending(database, files.migrations, ledger, flags)
  const pending = found.files
  result.migrationsPending = pending.map(({ name }) => name)
  for (const [name, before] of found.renamed) writer.renameMigration(before, name)
  const tablesChecksum = checksumOf(files.tables)
  const isTablesDue =
    files.tables.length > 0 &&
    (tablesChecksum !== ledger.tablesChecksum || pending.length > 0 || isTouched(ledger))
  const allows = (what: Allowance) => isNew || flags.allow.has(what)
  if (!allows('functions_missing')) await checkNothingMissing(database, archive, ledger)
  const migrations = await planMigrations(sql, job, ledger, pending)
  if (!flags.dryRun && migrations.enums.ahead.length > 0) {
    await sql.unsafe('rollback')
    await addAhead(sql, database, migrations.enums)
    await sql.unsafe('begin')
  }
  const knownTypes = isTouched(ledger)
    ? await withoutMissing(sql, migrations.types.before, ledger.types)
    : ledger.types
  const isSameTypes = knownTypes.size === ledger.types.size
  const changesNoTable =
    pending.length === 0 && !isTablesDue && isSameTypes && (await runsOnlyCode(archive, ledger))
  attempt.isFirst ??= isNew || (await hasNothing(sql, ledger))
  const watching = attempt.isFirst ? 'new' : changesNoTable ? 'only code' : 'closely'
  const watch = new TableWatch(sql, database, watching, flags.allow.has('data_loss'), flags.dryRun)
  if (watching === 'closely' && !attempt.versions) {
    const sources = CODE_SECTIONS.flatMap((section) => files[section])
    attempt.versions = readVersions(sql, sources, knownFiles(ledger))
    // Whoever waits for it is told.
    attempt.versions.catch(() => {})
  }
  if (!flags.dryRun) watch.onRetype = job.retire
  if (flags.repair) {
    result.migrationsRepaired = repairMigrations(writer, files.migrations, ledger)
  }

  const schemas = ledger.filesOf('schemas')
  result.warnings.push(...(await deploySchemas(sql, database, files.schemas, schemas, watch.ask)))
  for (const file of files.schemas) writer.setFile('schemas', file)
  const extensions = await createExtensions(sql, database, files.extensions, flags.dryRun)
  result.warnings.push(...extensions.warnings)
  attempt.lacking = extensions.lacking
  const commit = async () => {
    await watch.settle()
    await answers([writer.send(), ...sendCommit(sql)])
  }
  const types = await deployTypes(
    sql,
    database,
    migrations.types.before,
    knownTypes,
    watch.ask,
    !flags.dryRun && !isNew,
  )
  if (types.newValues.length > 0) {
    await addValues(sql, types.newValues)
    return deployOnce(sql, attempt, job, started)
  }
  noteTypes(result, writer, types, migrations.types.before)
  // What has been added to an enum can be used then.
  const isAnyBefore = migrations.types.before.length + files.schemas.length > 0
  if (isNew && !flags.dryRun && pending.length > 0 && isAnyBefore) await commit()

  const { needs } = migrations
  let print: Promise<string> | undefined
  // Where it fails, it fails again when it is the code's turn.
  const codePlan =
    pending.length > 0 && (await planCode(archive, ledger, true).catch(() => undefined))
  let codeState: Promise<CodeState> | undefined
  const made = (name: string) =>
    needs.tables.has(name) || types.created.some((one) => one === name || one.endsWith(`.${name}`))
  if (!isNew) await attempt.way.prepare(sql, pending, knownObjects(ledger))
  const run = runPending(
    {
      ...job,
      sql,
      session,
      writer,
      watch,
      enums: migrations.enums,
      needs,
      isDryRun: flags.dryRun,
      sendLast: async () => {
        if (migrations.types.after.length > 0) return
        if (isTablesDue) print = fingerprint(sql, watch)
        if (codePlan) codeState = sendState(sql, codePlan, attempt.versions)
        await Promise.all([print, codeState])
      },
      onCommitted: () => {
        attempt.done = [...result.migrationsApplied]
      },
      passing: {
        mayPass: ({ facts, routine }) =>
          (routine !== undefined && needs.functions.has(routine)) ||
          made(facts.alters) ||
          (facts.kind === 'RenameStmt' && facts.makes.some(made)),
        onPassed: (file, statement) =>
          result.warnings.push(
            `${file.path}, line ${lineOf(file, statement)}: passed over, since tables/, types/ or functions/ has made it as it is after that`,
          ),
      },
    },
    migrations.scripts,
    result,
  )
  if (!(await attempt.way.lets(sql, run))) return deployOnce(sql, attempt, job, started)
  if (migrations.types.after.length > 0) {
    const later = await deployTypes(
      sql,
      database,
      migrations.types.after,
      ledger.types,
      watch.ask,
      !flags.dryRun,
    )
    if (later.newValues.length > 0) {
      await watch.settle()
      await watch.retire()
      await answers([writer.send(), send(sql.unsafe('commit'))])
      attempt.done = [...result.migrationsApplied]
      watch.committed()
      await addValues(sql, later.newValues, false)
      await sql.unsafe('begin')
    }
    noteTypes(result, writer, later, migrations.types.after)
  }

  if (isTablesDue) {
    const tables = await deployTablesOnce(sql, database, files.tables, tablesChecksum, watch, print)
    result.tablesCreated = [...needs.tables, ...tables.created]
    if (tables.created.length > 0) codeState = undefined
    result.differences = tables.differences
    result.warnings.push(...tables.warnings)
  }

  const isSeeded = files.seeders.every(({ name }) => ledger.seeders.has(name))
  const { warnings, ...code } = await deployCode(
    sql,
    writer,
    database,
    archive,
    ledger,
    watch.ask,
    {
      isCheckDue: isTouched(ledger) || mayHaveChanged(result),
      reset,
      state: codeState,
      sendBehind: isSeeded ? watch.sendLast : undefined,
      versions: attempt.versions,
      setBefore: attempt.way.setBefore,
    },
  )
  Object.assign(result, code)
  result.warnings.push(...warnings)
  const seed = () =>
    runSeeders(sql, session, writer, database, files.seeders, ledger, watch.ask, result.warnings)
  result.seedersApplied = await withoutDrops(sql, database, archive, ledger, seed)
  const watched = await watch.finish()
  result.tableChanges = watched.changes
  result.warnings.push(
    ...watched.warnings,
    ...typeWarnings(files.types, ledger.types),
    ...migrationWarnings(files.migrations, ledger, found),
    ...seederWarnings(files.seeders, ledger),
  )

  if (flags.dryRun) result.locks = await readLocks(sql, watch.before)
  return conclude(sql, writer, job, result, tablesChecksum, started)
}

/** Whether something ran that functions may depend on. */
function mayHaveChanged({ migrationsApplied, typesChanged, tablesCreated }: DeployResult): boolean {
  return migrationsApplied.length + typesChanged.length + tablesCreated.length > 0
}

function noteTypes(
  result: DeployResult,
  writer: LedgerWriter,
  types: TypesResult,
  files: SchemaFile[],
): void {
  for (const file of files) writer.setFile('types', file)
  result.typesChanged.push(...types.created, ...types.changed)
  result.warnings.push(...types.warnings)
}
