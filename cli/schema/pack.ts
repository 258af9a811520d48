import { type Dirent, statSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readArchive, type SchemaArchive } from '../../lib/archive/archive.ts'
import { placeFiles } from '../../lib/archive/layout.ts'
import { isSection, SECTIONS } from '../../lib/archive/sections.ts'
import { refusedEntry } from '../../lib/archive/walk.ts'
import { UsageError } from '../command.ts'
import { schemaFolder } from './folder.ts'
import { packTar } from './tar.ts'

/** A schema folder, packed. */
export interface Packed {
  /** The tar.gz. */
  bytes: Uint8Array
  /** What a gateway reads in it. */
  archive: SchemaArchive
  /** The folder with the sections. */
  root: string
  /** Files and folders that do not count. */
  warnings: string[]
}

/** The gateway has its own limits, which may be lower. */
export const LIMITS = { maxUnpackedBytes: 2 ** 31 - 1, maxEntries: 2 ** 31 - 1 }

/**
 * Packs the files of a schema folder that count: SQL files in the folders of sections. Hidden files
 * are passed over. Reads nothing beside `postgresql/` or, without it, beside the sections.
 * @throws {GatewayError} schema_extraction_failed, as the gateway would: no section, links, names
 *   that lead outside, files that are not UTF-8
 * @throws {UsageError} if there is no such folder
 */
export async function packFolder(folder: string): Promise<Packed> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UsageError(`There is no folder ${folder}`)
  }
  const root = schemaFolder(folder)
  const names = await list(root, root !== folder)
  const asEntry = ({ name, isFolder }: Name) => ({ name, isFolder, data: new Uint8Array(0) })
  const inRoot = names.map(({ name, isFolder }) => ({ name: `postgresql/${name}`, isFolder }))
  const isRoot = root !== folder
  const entries = isRoot ? [{ name: 'postgresql', isFolder: true }, ...inRoot] : names
  const { files, warnings } = placeFiles(entries.map(asEntry))
  const contents = await Promise.all(
    files.map(async ({ path }) => ({
      name: `postgresql/${path}`,
      data: await readFile(join(root, path)),
    })),
  )
  // An empty folder shows that there is a schema, though it has no file.
  const bytes = packTar([{ name: 'postgresql/', data: new Uint8Array(0) }, ...contents])
  const archive = await readArchive(bytes, LIMITS)
  return { bytes, archive, root, warnings: [...new Set([...warnings, ...archive.warnings])] }
}

/** Describes how many files a schema has, by section. */
export function describePacked({ archive }: Packed): string {
  const counts = SECTIONS.map((section) => ({ section, count: archive.files[section].length }))
  const total = counts.reduce((sum, { count }) => sum + count, 0)
  const parts = counts
    .filter(({ count }) => count > 0)
    .map(({ section, count }) => `${count} ${count === 1 ? singular(section) : section}`)
  return [`${total} ${total === 1 ? 'file' : 'files'}`, parts.join(', ')].filter(Boolean).join(': ')
}

function singular(section: string): string {
  return section.replace(/ies$/, 'y').replace(/s$/, '')
}

/** Returns the paths of the files that count, in the order of a deploy. */
export function pathsOf({ archive }: Pick<Packed, 'archive'>): string[] {
  return SECTIONS.flatMap((section) => archive.files[section].map(({ path }) => path))
}

interface Name {
  name: string
  isFolder: boolean
}

/** @param isRoot whether the folder is named postgresql: all of it is the schema */
async function list(folder: string, isRoot: boolean): Promise<Name[]> {
  const top = await visible(folder, '')
  if (isRoot) return walk(folder, '', top)
  const sections = top.filter((entry) => entry.isDirectory() && isSection(entry.name))
  // Without a section the names at the top are for the message alone.
  if (sections.length === 0) {
    return top.map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
  }
  return walk(folder, '', sections)
}

async function walk(root: string, path: string, entries: Dirent[]): Promise<Name[]> {
  const names = entries.map(async (entry): Promise<Name[]> => {
    const name = `${path}${entry.name}`
    if (entry.isSymbolicLink()) throw refusedEntry(name, 'a symbolic link')
    if (entry.isFile()) return [{ name, isFolder: false }]
    if (!entry.isDirectory()) throw refusedEntry(name, 'a device, a pipe or a socket')
    const inside = await walk(root, `${name}/`, await visible(root, name))
    return [{ name, isFolder: true }, ...inside]
  })
  return (await Promise.all(names)).flat()
}

async function visible(root: string, path: string): Promise<Dirent[]> {
  const entries = await readdir(join(root, path), { withFileTypes: true })
  return entries
    .filter(({ name }) => !name.startsWith('.'))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
