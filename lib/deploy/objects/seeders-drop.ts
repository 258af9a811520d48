import type { SchemaArchive } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { readScripts, type Script } from '../run/run-file.ts'
import { findObjects } from './find.ts'
import { readNames } from './names.ts'
import { askedOfMade, keysOf } from './state.ts'

/** Kinds of statements that may drop objects. */
const MAY_DROP = new Set(['DropStmt', 'DoStmt', 'CallStmt', 'SelectStmt'])

/**
 * Runs seeders, and checks afterwards that they dropped no object of the code files. Those files
 * have already run and would count as in place. Sends no query if no pending seeder may drop
 * anything.
 * @throws {GatewayError} seeder_failed
 */
export async function withoutDrops<T>(
  sql: Sql,
  database: string,
  { files }: SchemaArchive,
  ledger: Ledger,
  run: () => Promise<T>,
): Promise<T> {
  const seeders = await readScripts(files.seeders.filter(({ name }) => !ledger.seeders.has(name)))
  const dropping = seeders.filter(({ statements }) =>
    statements.some(({ facts }) => MAY_DROP.has(facts.kind)),
  )
  if (dropping.length === 0) return run()
  const { functions, views, triggers, policies } = files
  const scripts = await readScripts([...functions, ...views, ...triggers, ...policies])
  const made = scripts.flatMap(({ statements }) => statements.flatMap((one) => one.made ?? []))
  const asked = made.map(askedOfMade)
  const [names, before] = await Promise.all([readNames(sql, made), findObjects(sql, asked)])
  const result = await run()
  const after = await findObjects(sql, asked)
  for (const { file, statements } of scripts) {
    for (const key of keysOf(statements, names).values()) {
      const object = before.byKey.get(key)
      if (object && !after.byKey.has(key)) {
        throw dropped(
          database,
          dropping,
          `${object.kind} ${object.identity}`,
          object.name,
          file.path,
        )
      }
    }
  }
  return result
}

function dropped(
  database: string,
  seeders: Script[],
  what: string,
  name: string,
  path: string,
): GatewayError {
  const { file } = seeders.find(({ file }) => file.text.includes(name)) ?? seeders[0]!
  return new GatewayError('seeder_failed', `Seeder ${file.name} drops an object of another file`, {
    database,
    cause: `${what}, which ${path} creates, is gone after the seeders ran`,
    file: file.path,
    hint: `Remove the DROP from the seeder, or ${what} from ${path}`,
  })
}
