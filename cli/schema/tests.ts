import { readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { type SchemaFile, schemaFile } from '../../lib/archive/archive.ts'
import { SQL_FILE } from '../../lib/archive/layout.ts'
import { filesOf } from './folder.ts'

const FOLDER = 'tests'

/** Returns the folder that tests/ is in: beside a schema folder that is named postgresql, or in it. */
export function testsHome(root: string): string {
  return basename(root) === 'postgresql' ? dirname(root) : root
}

/**
 * Returns the SQL files in tests/, by name.
 * @param root the folder with the sections
 * @throws {GatewayError} schema_extraction_failed for a file that is not UTF-8
 */
export async function readTests(root: string): Promise<SchemaFile[]> {
  const home = testsHome(root)
  const names = (await filesOf(home, FOLDER)).filter((name) => SQL_FILE.test(name))
  return Promise.all(
    names.map(async (name) => schemaFile(FOLDER, name, await readFile(join(home, FOLDER, name)))),
  )
}
