import type { SchemaArchive, SchemaFile } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Evaluated, FileValues } from '../parser/evaluated.ts'
import { readValues } from '../parser/parser.ts'
import { findGenerating, findUnknown, readStoredExpressions } from './generating-sql.ts'

/** Name of each called function, with the place of the call. */
type Calls = Map<string, string>

/**
 * Returns why each new database must run the archive's files itself; undefined if a copy of a
 * database that has run them is equivalent. The reason is a statement that generates a different
 * value each time or in each database, or something that it triggers: a default or trigger of a
 * table into which it writes, a view that it reads. Further reasons are statements that syntax
 * trees do not fully describe, functions that the files create without IMMUTABLE, and functions
 * that no longer exist.
 * @param sql session in a database in which the files have run
 */
export async function findGenerated(
  sql: Sql,
  { files }: SchemaArchive,
): Promise<string | undefined> {
  const calls: Calls = new Map()
  const all: FileValues[] = []
  for (const file of Object.values(files).flat()) {
    // These files name an extension; they are not run as SQL.
    if (file.path.startsWith('extensions/')) continue
    const values = await valuesOfFile(file)
    if (values.unknown !== null) return `${file.path}: ${values.unknown}`
    for (const name of values.calls) add(calls, name, file.path)
    all.push(values)
  }
  const writes = follow(all, calls)
  for (const { relation, text, routine } of await readStoredExpressions(sql, [...writes])) {
    const where = `${relation}, a default or trigger`
    if (routine !== null) add(calls, routine, where)
    if (text === null) continue
    for (const name of (await readValues(`select ${text}`)).calls) add(calls, name, where)
  }
  const makes = new Set(all.flatMap((values) => values.makes))
  const names = [...calls.keys()]
  const made = names.find((name) => makes.has(name))
  const found = made ?? (await findGenerating(sql, names)) ?? (await findUnknown(sql, names))
  return found && `${calls.get(found) ?? 'an operator or cast'}: ${found}()`
}

/**
 * Adds to `calls` the functions that reads and writes of the files' relations trigger.
 * @returns the relations that are written
 */
function follow(all: FileValues[], calls: Calls): Set<string> {
  const reads = new Set(all.flatMap((values) => values.reads))
  const writes = new Set(all.flatMap((values) => values.writes))
  const onRead = all.flatMap((values) => values.onRead)
  const onWrite = all.flatMap((values) => values.onWrite)
  for (let size = -1; size !== reads.size + writes.size; ) {
    size = reads.size + writes.size
    for (const one of onRead) if (reads.has(one.relation)) note(one, 'its query or policy', reads)
    for (const one of onWrite) {
      if (!writes.has(one.relation)) continue
      note(one, 'a default or trigger', reads)
      // A view passes the rows on to the tables that it reads.
      for (const relation of one.reads) writes.add(relation)
    }
  }
  return writes

  function note(one: Evaluated & { relation: string }, what: string, reads: Set<string>): void {
    for (const name of one.calls) add(calls, name, `${one.relation}, ${what}`)
    for (const relation of one.reads) reads.add(relation)
  }
}

function add(calls: Calls, name: string, where: string): void {
  if (!calls.has(name)) calls.set(name, where)
}

/** Results by file, because an archive may be examined several times. */
const known = new WeakMap<SchemaFile, Promise<FileValues>>()

function valuesOfFile(file: SchemaFile): Promise<FileValues> {
  let values = known.get(file)
  if (!values) {
    values = readValues(file.text)
    known.set(file, values)
    values.catch(() => known.delete(file))
  }
  return values
}
