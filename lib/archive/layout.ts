import { hiddenPart, isNoise, splitName } from './names.ts'
import { quote, quoteSome, refusal } from './refuse.ts'
import { isSection, SECTIONS, type Section } from './sections.ts'
import type { TarEntry } from './tar.ts'

/** A SQL file of a section, not yet decoded. */
export interface PlacedFile {
  section: Section
  path: string // relative to postgresql/
  data: Uint8Array
}

interface Node {
  segments: string[]
  isFolder: boolean
  data: Uint8Array
}

const ROOT = 'postgresql'
/** Names of SQL files. */
export const SQL_FILE = /\.(pssql|pgsql|psql|sql)$/i
/**
 * Text files in `extensions/`: the file name gives the extension. The original gateway accepted
 * them too.
 */
const EXTENSION_FILE = /^extensions\/.*\.txt$/i

/**
 * Finds the `postgresql/` folder (at the top, below one other folder, or left out) and the SQL
 * files of its sections. If a path occurs twice, the later entry counts, as in tar. `warnings`
 * names ignored files, the more important ones first.
 * @throws {GatewayError} schema_extraction_failed: a refused name, no `postgresql/` folder, no
 *   section in it
 */
export function placeFiles(entries: TarEntry[]): { files: PlacedFile[]; warnings: string[] } {
  const warnings = new Set<string>()
  const ignored = new Set<string>()
  const nodes = visibleNodes(entries, ignored)
  const root = findRoot(nodes)
  warnBeside(nodes, root, warnings)

  const files = new Map<string, PlacedFile>()
  for (const node of nodesInside(nodes, root)) {
    const [section] = node.segments
    const path = node.segments.join('/')
    if (!isFolderAt(node, 0)) {
      ignored.add(`Ignored ${quote(path)}: not in a section folder`)
    } else if (!isSection(section)) {
      warnings.add(`Ignored the folder ${quote(`${section}/`)}: not one of ${SECTIONS.join(', ')}`)
    } else if (!node.isFolder) {
      if (SQL_FILE.test(path) || EXTENSION_FILE.test(path)) {
        if (files.has(path)) warnings.add(`${quote(path)} comes twice: the last one counts`)
        files.set(path, { section, path, data: node.data })
      } else {
        ignored.add(`Ignored ${quote(path)}: not .pssql, .pgsql, .psql or .sql`)
      }
    }
  }
  if (files.size === 0) warnings.add('The archive has no SQL file')
  return { files: [...files.values()], warnings: [...warnings, ...ignored] }
}

function visibleNodes(entries: TarEntry[], ignored: Set<string>): Node[] {
  const nodes: Node[] = []
  for (const { name, isFolder, data } of entries) {
    const segments = splitName(name)
    if (segments.length === 0 || isNoise(segments)) continue
    const hidden = hiddenPart(segments)
    if (hidden === undefined) nodes.push({ segments, isFolder, data })
    else ignored.add(`Ignored ${quote(hidden)}: hidden`)
  }
  return nodes
}

function findRoot(nodes: Node[]): string[] {
  if (nodes.some((node) => isRootAt(node, 0))) return [ROOT]

  // A subfolder of a section, such as functions/postgresql/, is not the root.
  const wrapped = nodes.filter((node) => isRootAt(node, 1) && !isInSection(node))
  const wrappers = new Set(wrapped.map((node) => node.segments[0]!))
  if (wrappers.size > 1) {
    throw refusal(`More than one ${ROOT}/ folder inside: in ${quoteSome([...wrappers])}`)
  }
  for (const wrapper of wrappers) return [wrapper, ROOT]

  if (nodes.some(isInSection)) return []
  const found = nodes.length > 0 ? quoteSome(topNames(nodes, 1)) : 'nothing'
  throw refusal(`No ${ROOT}/ folder inside: found ${found}`)
}

function warnBeside(nodes: Node[], root: string[], warnings: Set<string>): void {
  const beside = nodes.filter(({ segments }) => !root.every((s, i) => s === (segments[i] ?? s)))
  if (beside.length === 0) return
  warnings.add(`Ignored beside ${root.join('/')}/: ${quoteSome(topNames(beside, root.length))}`)
}

/**
 * Returns the nodes inside the root, with paths relative to it. An empty postgresql/ is a schema
 * without files; one with other content but no section is refused.
 */
function nodesInside(nodes: Node[], root: string[]): Node[] {
  const inside = nodes
    .filter(({ segments }) => segments.length > root.length)
    .filter(({ segments }) => root.every((s, i) => s === segments[i]))
    .map((node) => ({ ...node, segments: node.segments.slice(root.length) }))
  if (inside.length > 0 && !inside.some(isInSection)) {
    throw refusal(
      `No section folder inside ${root.join('/')}/: found ${quoteSome(topNames(inside, 1))}, ` +
        `expected ${SECTIONS.join(', ')}`,
    )
  }
  return inside
}

function isRootAt(node: Node, depth: number): boolean {
  return node.segments[depth] === ROOT && isFolderAt(node, depth)
}

function isInSection(node: Node): boolean {
  return isSection(node.segments[0]) && isFolderAt(node, 0)
}

function isFolderAt(node: Node, depth: number): boolean {
  return node.segments.length > depth + 1 || node.isFolder
}

/** Returns the distinct names in the first `depth` levels; folder names end in a slash. */
function topNames(nodes: Node[], depth: number): string[] {
  const names = nodes.map((node) => {
    const top = node.segments.slice(0, depth)
    return top.join('/') + (isFolderAt(node, top.length - 1) ? '/' : '')
  })
  return [...new Set(names)]
}
