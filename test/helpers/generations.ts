import { readdir, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { PROJECT } from './gateway.ts'
import type { Files } from './platforms.ts'

/** Releases of the original gateway whose clients write archives differently. */
export type Generation = '1.0' | '2.x' | '3.x'

/**
 * Returns the files of a shop's archive as clients of that release write it, with paths relative to
 * postgresql/.
 */
export async function shopFiles(generation: Generation): Promise<Files> {
  const folder = join(PROJECT, 'test/fixtures/archives/generations', generation)
  const root = generation === '2.x' ? folder : join(folder, 'postgresql')
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const files = await Promise.all(
    paths.map(
      async (path): Promise<[string, string]> => [
        relative(root, path).replaceAll(sep, '/'),
        await readFile(path, 'utf8'),
      ],
    ),
  )
  return Object.fromEntries(files)
}

/** Returns the files outside these folders. */
export function without(files: Files, ...folders: string[]): Files {
  const kept = Object.entries(files).filter(
    ([path]) => !folders.some((folder) => path.startsWith(`${folder}/`)),
  )
  return Object.fromEntries(kept)
}
