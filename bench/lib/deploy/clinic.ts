import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { createTarGzip } from 'nanotar'

const ROOT = join(import.meta.dirname, '../../../test/fixtures/clinic/postgresql')

/** The files of a platform, by their path below postgresql/. */
export type Files = Record<string, string>

/** The example platform as it is at the first deploy, and after two changes to it. */
export interface Clinic {
  base: Files
  /** One function of the base is changed. */
  oneFunction: Files
  /** Every function is changed, and there is one more migration. */
  release: Files
}

export const CHANGED_FUNCTION = 'functions/get_patient_by_id.pssql'
export const NEW_MIGRATION = 'migrations/009_rooms_in_use.pssql'
const CHANGED_TABLE = 'tables/rooms.pssql'
const NEW_COLUMN = 'is_in_use boolean not null default true'
const ADD_COLUMN = `alter table rooms add column ${NEW_COLUMN};\n`

export async function readClinic(withTables: boolean): Promise<Clinic> {
  const entries = await readdir(ROOT, { recursive: true, withFileTypes: true })
  const base: Files = {}
  for (const entry of entries.filter((one) => one.isFile())) {
    const file = join(entry.parentPath, entry.name)
    const path = relative(ROOT, file)
    if (withTables || !path.startsWith('tables/')) base[path] = await readFile(file, 'utf8')
  }
  const release: Files = { ...base, [NEW_MIGRATION]: ADD_COLUMN }
  for (const path of pathsIn(base, 'functions')) release[path] += '-- released\n'
  // The table's declaration follows, as it does where a team adds a column.
  const table = base[CHANGED_TABLE]
  if (table) release[CHANGED_TABLE] = table.replace(/\n\);/, `,\n    ${NEW_COLUMN}\n);`)
  const oneFunction = { ...base, [CHANGED_FUNCTION]: `${base[CHANGED_FUNCTION]}-- edited\n` }
  return { base, oneFunction, release }
}

/** The paths in one of the folders, in the order in which they are run. */
export function pathsIn(files: Files, folder: string): string[] {
  return Object.keys(files)
    .filter((path) => path.startsWith(`${folder}/`))
    .sort()
}

/** Packs files as a container does: a tar.gz with postgresql/ in it. */
export async function pack(files: Files): Promise<Uint8Array> {
  return createTarGzip(
    Object.entries(files).map(([path, data]) => ({ name: `postgresql/${path}`, data })),
  )
}

/** Writes files where psql can read them. */
export async function writeFiles(folder: string, files: Files): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
}
