import { loadModule } from 'libpg-query'
import type { SchemaArchive, SchemaFile } from '../archive/archive.ts'
import { createFrom } from '../deploy/database/create-from.ts'
import { quoteIdentifier } from '../postgres/quote.ts'
import { type CoveredFunction, countCalls, trackFunctions } from './coverage.ts'
import { runTest, type TestResult } from './run-test.ts'
import { openScratch, type Scratch } from './scratch.ts'
import { usesTap } from './tap.ts'

/** What a run of tests needs. */
export interface Suite {
  archive: SchemaArchive
  packed: Uint8Array
  tests: SchemaFile[]
  /** Undefined: an embedded PostgreSQL. */
  databaseUrl: string | undefined
  env: Record<string, string | undefined>
  /** Most tests that run at the same time; each has a database. */
  jobs: number
  /** statement_timeout in milliseconds. */
  timeoutMs: number
  /** Whether to find which functions are called. */
  coverage: boolean
  /** Called with each result, in the order of the files. */
  onResult?: (result: TestResult) => void
  /** Once it is aborted, no further test begins, and those that run end. */
  signal: AbortSignal
}

/** Which functions the tests have called. */
export interface Coverage {
  called: string[]
  missed: string[]
}

/** What became of the tests, in the order of their files. */
export interface SuiteResult {
  results: TestResult[]
  /** Undefined: it was not asked for, or PostgreSQL does not count calls. */
  coverage: Coverage | undefined
  /** How the role gets PostgreSQL to count calls, if it was asked for and may not. */
  coverageHint: string | undefined
  /** Warnings of the deploy. */
  warnings: string[]
  /** Files that were not begun, or not run to their end. */
  notRun: string[]
}

/**
 * Deploys an archive to a database of its own, and runs tests on it and on clones of it. Each test
 * is one transaction, which is rolled back. Everything is dropped at the end.
 * @throws {GatewayError} of the deploy
 */
export async function runSuite(suite: Suite): Promise<SuiteResult> {
  await loadModule()
  const { tests, jobs, timeoutMs, signal, onResult } = suite
  const scratch = await openScratch(suite.databaseUrl, suite.env, suite)
  try {
    if (tests.some(({ text }) => usesTap(text))) await addPgTap(scratch)
    const functions = suite.coverage
      ? await scratch.pools.use(scratch.database, (sql) => countCalls(sql))
      : []
    await scratch.pools.closeDatabase(scratch.database)
    const databases = await clone(scratch, Math.min(jobs, tests.length))
    const hint = suite.coverage ? await track(scratch, databases) : undefined
    const results = new Map<SchemaFile, TestResult>()
    const waiting = [...tests]
    let told = 0
    const tell = () => {
      for (let result = results.get(tests[told]!); result; result = results.get(tests[++told]!)) {
        onResult?.(result)
      }
    }
    await Promise.all(
      databases.map(async (database) => {
        for (let file = waiting.shift(); file; file = waiting.shift()) {
          if (signal.aborted) return
          const result = await runTest(file, database, scratch, { timeoutMs, signal })
          if (signal.aborted) return
          results.set(file, result)
          tell()
        }
      }),
    )
    const done = tests.flatMap((file) => results.get(file) ?? [])
    return {
      results: done,
      coverage: suite.coverage && !hint ? coverageOf(functions, done) : undefined,
      coverageHint: hint,
      warnings: scratch.warnings,
      notRun: tests.filter((file) => !results.has(file)).map(({ path }) => path),
    }
  } finally {
    await scratch.close()
  }
}

/** Installs pgTAP if the server has it and the gateway's role may; a test says what is missing. */
async function addPgTap({ pools, database }: Scratch): Promise<void> {
  await pools
    .use(database, (sql) => sql.unsafe('create extension if not exists pgtap'))
    .catch(() => {})
}

/** Returns the database and its clones, `count` in all. */
async function clone(scratch: Scratch, count: number): Promise<string[]> {
  const { database, role, home, pools, databases } = scratch
  const names = [database]
  const owner = role === null ? '' : `owner ${quoteIdentifier(role)}`
  await pools.use(home, async (sql) => {
    for (let i = 1; i < count; i++) {
      const name = `${database}_${i}`
      const quoted = quoteIdentifier(name)
      databases.add(name)
      const template = quoteIdentifier(database)
      await createFrom(sql, `create database ${quoted} template ${template} ${owner}`)
      await sql.unsafe(`revoke all on database ${quoted} from public`)
      names.push(name)
    }
  })
  return names
}

/**
 * Has PostgreSQL count the calls of functions in later sessions. Returns what a superuser has to run
 * first, if the role may not have it do so.
 */
async function track({ pools, home }: Scratch, databases: string[]): Promise<string | undefined> {
  return pools.use(home, async (sql) => {
    const [row] = await sql<{ all: boolean; may: boolean; role: string }[]>`
      select current_setting('track_functions') = 'all' as all,
        has_parameter_privilege('track_functions', 'set') as may, current_user as role
    `
    const { all, may, role } = row!
    if (all) return undefined
    if (!may) return `grant set on parameter track_functions to ${quoteIdentifier(role)}`
    for (const database of databases) await sql.unsafe(trackFunctions(database))
    return undefined
  })
}

function coverageOf(functions: CoveredFunction[], results: TestResult[]): Coverage {
  const oids = new Set(results.flatMap(({ called }) => called))
  const names = (isCalled: boolean) =>
    functions.filter(({ oid }) => oids.has(oid) === isCalled).map(({ name }) => name)
  return { called: names(true), missed: names(false) }
}
