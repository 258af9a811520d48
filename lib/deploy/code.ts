import type { SchemaArchive, SchemaFile } from '../archive/archive.ts'
import type { Sql } from '../postgres/connection.ts'
import { runInAnyOrder } from './any-order.ts'
import { fileFailure, StatementError } from './failure.ts'
import {
  functionLeftovers,
  readFunctionsBefore,
  readMade,
  replaceableFunction,
  validateBodies,
} from './functions.ts'
import type { Ledger } from './ledger.ts'
import type { LedgerWriter } from './ledger-writer.ts'
import { dropLeftovers } from './leftovers.ts'
import { type Ask, askAbout, parseScripts } from './run-file.ts'
import { readViewKinds, replaceableView, viewLeftovers, viewsOf } from './views.ts'

/** What became of the functions and views. Functions are schema.name(types). */
export interface CodeResult {
  /** How many functions of the archive are in place now. */
  functionsDeployed: number
  functionsCreated: string[]
  functionsReplaced: string[]
  functionsDropped: string[]
  viewsChanged: string[]
  viewsDropped: string[]
}

interface Ledgered {
  checksum: string
}

/**
 * Brings functions and views to what the files say: runs the files that are new or changed, drops
 * what they no longer make, and what came from files that are gone. The order of the files does not
 * matter. What did not come from a file is left alone.
 * @throws {GatewayError} function_deploy_failed, view_deploy_failed; data_loss
 */
export async function deployCode(
  sql: Sql,
  writer: LedgerWriter,
  database: string,
  { files }: SchemaArchive,
  ledger: Ledger,
  ask: Ask,
): Promise<CodeResult> {
  const functions = compare(files.functions, ledger.functions)
  const views = compare(files.views, ledger.views)
  const unchanged = countFunctions(ledger, functions.unchanged)
  const result: CodeResult = {
    functionsDeployed: unchanged,
    functionsCreated: [],
    functionsReplaced: [],
    functionsDropped: [],
    viewsChanged: [],
    viewsDropped: [],
  }
  if (functions.isSame && views.isSame) return result

  const functionScripts = await parseScripts(
    'function_deploy_failed',
    'Function file',
    functions.changed,
  )
  const viewScripts = await parseScripts('view_deploy_failed', 'View file', views.changed)
  try {
    await askAbout([...viewScripts, ...functionScripts], ask)
    const before = await readFunctionsBefore(sql, ledger)
    const kinds = await readViewKinds(sql, ledger)
    await sql.unsafe(`
      set local check_function_bodies = off;
      create temp table _db_gateway_made (file pg_catalog.text) on commit drop
    `)
    await runInAnyOrder(sql, [
      ...viewScripts.map((script) => replaceableView(script, ledger, kinds)),
      ...functionScripts.map((script) => replaceableFunction(sql, script, ledger)),
    ])
    const made = await readMade(sql, before)
    const rerun = new Set([...functions.changed.map((file) => file.name), ...functions.gone])
    const oldFunctions = functionLeftovers(before, made, rerun)
    const oldViews = viewLeftovers(ledger, viewScripts, views.gone, kinds)
    await dropLeftovers(sql, database, [...oldFunctions, ...oldViews])
    await validateBodies(sql, functionScripts, made)
    for (const file of functions.changed) {
      const own = made.filter((one) => one.file === file.name)
      const objects = own.map(({ identity }) => ({ kind: 'function', name: identity }))
      writer.setFile('functions', file, objects)
    }
    for (const script of viewScripts) {
      const objects = viewsOf(script).map((name) => ({ kind: 'view', name }))
      writer.setFile('views', script.file, objects)
    }
    for (const name of functions.gone) writer.forgetFile('functions', name)
    for (const name of views.gone) writer.forgetFile('views', name)

    const identities = (existed: boolean) =>
      made.filter((one) => before.oids.has(one.oid) === existed).map((one) => one.identity)
    result.functionsCreated = identities(false)
    result.functionsReplaced = identities(true)
    result.functionsDropped = oldFunctions.map((leftover) => leftover.name)
    result.functionsDeployed = unchanged + made.length
    result.viewsChanged = viewScripts.flatMap(viewsOf)
    result.viewsDropped = oldViews.map((leftover) => leftover.name)
    return result
  } catch (error) {
    const isView = error instanceof StatementError && error.file.path.startsWith('views/')
    throw isView
      ? fileFailure('view_deploy_failed', 'View file', database, error)
      : fileFailure('function_deploy_failed', 'Function file', database, error)
  }
}

/** The files against what the ledger has of them. */
function compare(files: SchemaFile[], ledgered: Map<string, Ledgered>) {
  const changed = files.filter((file) => ledgered.get(file.name)?.checksum !== file.checksum)
  const names = new Set(files.map((file) => file.name))
  const gone = [...ledgered.keys()].filter((name) => !names.has(name))
  const rerun = new Set(changed.map((file) => file.name))
  return {
    changed,
    gone,
    unchanged: new Set([...names].filter((name) => !rerun.has(name))),
    isSame: changed.length === 0 && gone.length === 0,
  }
}

function countFunctions(ledger: Ledger, files: Set<string>): number {
  let count = 0
  for (const [name, { functions }] of ledger.functions) {
    if (files.has(name)) count += functions.length
  }
  return count
}
