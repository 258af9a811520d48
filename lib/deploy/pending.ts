import type { SchemaFile } from '../archive/archive.ts'
import type { Sql } from '../postgres/connection.ts'
import { answers, send } from '../postgres/pipeline.ts'
import { mayLoseData, readDirectives } from './directives.ts'
import type { LedgerWriter } from './ledger-writer.ts'
import { askOutsideTransaction, runMigrations, runOutsideTransaction } from './migrations.ts'
import type { DeployResult } from './result.ts'
import type { TableWatch } from './table-watch.ts'

/**
 * Runs the pending migrations; one that asks for no transaction divides the deploy in two. What
 * came of it is added to `result`.
 */
export async function runPending(
  sql: Sql,
  writer: LedgerWriter,
  database: string,
  pending: SchemaFile[],
  watch: TableWatch,
  isDryRun: boolean,
  result: DeployResult,
): Promise<void> {
  const { ask } = watch
  for (const group of groupBySession(pending)) {
    const first = group[0]!
    if (readDirectives(first).noTransaction) {
      await askOutsideTransaction(database, first, ask)
      if (isDryRun) {
        result.migrationsNotRun.push(first.name)
        continue
      }
      await watch.settle()
      writer.setMigration(first, 'begun')
      await answers([writer.send(), send(sql.unsafe('commit'))])
      await runOutsideTransaction(sql, writer, database, first, ask)
      await sql.unsafe('begin')
      result.warnings.push(...(await watch.afterCommitted(first)))
    } else if (mayLoseData(first)) {
      await watch.settle()
      await runMigrations(sql, writer, database, group, ask)
      await watch.forgive()
    } else {
      await runMigrations(sql, writer, database, group, ask)
    }
    result.migrationsApplied.push(...group.map((file) => file.name))
  }
}

/**
 * Neighbours that run alike; one that runs outside of any transaction, or that may lose data, stands
 * alone.
 */
function groupBySession(files: SchemaFile[]): SchemaFile[][] {
  const groups: SchemaFile[][] = []
  let isOpen = false
  for (const file of files) {
    const standsAlone = readDirectives(file).noTransaction || mayLoseData(file)
    if (isOpen && !standsAlone) groups.at(-1)?.push(file)
    else groups.push([file])
    isOpen = !standsAlone
  }
  return groups
}
