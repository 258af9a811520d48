import type { SchemaArchive, SchemaFile } from '../../archive/archive.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Evaluated, FileValues } from '../parser/evaluated.ts'
import { readValues } from '../parser/parser.ts'
import { findGenerating, findUnknown, readStoredExpressions } from './generating-sql.ts'

/** By name: where a function is called. */
type Calls = Map<string, string>

/**
 * Why each new database has to run the archive's files itself: a statement of theirs, or what it sets
 * off (a default or a trigger of a table that rows go into, a view that it reads), makes another value
 * each time or in each database, or trees do not tell. A function that the files make and that is not
 * IMMUTABLE then counts whatever it is in the end, and so does one that is not there by then. Undefined where copies of one database are as
 * good. `sql` is of a database in which the files have run.
 */
export async function findGenerated(
  sql: Sql,
  { files }: SchemaArchive,
): Promise<string | undefined> {
  const calls: Calls = new Map()
  const all: FileValues[] = []
  for (const file of Object.values(files).flat()) {
    // PostgreSQL runs an extension's script; that of the file is not SQL of its own.
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
  return found && `${calls.get(found) ?? 'an operator or a cast'}: ${found}()`
}

/**
 * Adds to `calls` what the relations set off that the files read and write.
 * @returns those that are written
 */
function follow(all: FileValues[], calls: Calls): Set<string> {
  const reads = new Set(all.flatMap((values) => values.reads))
  const writes = new Set(all.flatMap((values) => values.writes))
  const onRead = all.flatMap((values) => values.onRead)
  const onWrite = all.flatMap((values) => values.onWrite)
  for (let size = -1; size !== reads.size + writes.size; ) {
    size = reads.size + writes.size
    for (const one of onRead) if (reads.has(one.relation)) note(one, 'what it is made of', reads)
    for (const one of onWrite) {
      if (!writes.has(one.relation)) continue
      note(one, 'a default or trigger', reads)
      // It is a view, perhaps, and the rows go on to what it reads.
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

/** An archive may be asked about again. */
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
