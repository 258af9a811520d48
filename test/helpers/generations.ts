import { readdir, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { PROJECT } from './gateway.ts'
import type { Files } from './platforms.ts'

/** The releases of the original gateway that wrote archives in different ways. */
export type Generation = '1.0' | '2.x' | '3.x'

/** The archive of a shop as clients of that generation write it; paths are below postgresql/. */
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

/** The files without those of some folders. */
export function without(files: Files, ...folders: string[]): Files {
  const kept = Object.entries(files).filter(
    ([path]) => !folders.some((folder) => path.startsWith(`${folder}/`)),
  )
  return Object.fromEntries(kept)
}
