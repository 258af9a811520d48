import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createTarGzip } from 'nanotar'
import { PROJECT } from './gateway.ts'

/** Files of an archive: `{ 'functions/ping.pssql': 'create …' }`. */
export type Files = Record<string, string>

/** Packs files into a tar.gz as a platform does, below postgresql/. */
export async function pack(files: Files): Promise<Uint8Array> {
  return createTarGzip(
    Object.entries(files).map(([path, data]) => ({ name: `postgresql/${path}`, data })),
  )
}

/** Returns the files of the example platform. */
export async function clinicFiles(): Promise<Files> {
  const root = join(PROJECT, 'test/fixtures/clinic/postgresql')
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const files = await Promise.all(
    paths.map(async (path) => [relative(root, path), await readFile(path, 'utf8')] as const),
  )
  return Object.fromEntries(files)
}

/** Returns a file that creates a function which returns the text. */
export function textFunction(name: string, text: string): Files {
  return {
    [`functions/${name}.pssql`]: `create or replace function ${name}() returns text language sql as $$ select '${text}' $$;`,
  }
}
