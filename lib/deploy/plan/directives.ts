import type { SchemaFile } from '../../archive/archive.ts'
import { leadingBlank } from '../parser/place.ts'

/**
 * Directives of a migration or a seeder, from lines such as `-- gateway: no-transaction,
 * allow-data-loss`.
 */
export interface Directives {
  noTransaction: boolean
  allowDataLoss: boolean
  /** Words that are no known directive. */
  unknown: string[]
  /** Lines that name a directive without the prefix `-- gateway:`. */
  misspelt: string[]
  /** Whether a directive follows the first statement, where it has no effect. */
  isLate: boolean
}

const KNOWN = new Set(['no-transaction', 'allow-data-loss'])

const LINE = /^[ \t]*--[ \t]*gateway[ \t]*:(.*)$/gim

const LOOKALIKE =
  /^[ \t]*--(?![ \t]*gateway[ \t]*:)[^\n:]*:?[ \t]*(?:no[-_]transaction|allow[-_]data[-_]loss)[ \t]*$/gim

/** The no-transaction markers of dbmate and goose. */
const OTHERS_NO_TRANSACTION =
  /^[ \t]*--[ \t]*(?:migrate:up\b.*\btransaction[ \t]*:[ \t]*false\b|\+goose no transaction\b)/im

const known = new WeakMap<SchemaFile, Directives>()

/**
 * Returns the directives in the comments before a file's first statement. Case is ignored. Each file is read once:
 * it is asked for each of its statements.
 */
export function readDirectives(file: SchemaFile): Directives {
  const directives = known.get(file) ?? read(file)
  known.set(file, directives)
  return directives
}

function read({ text }: SchemaFile): Directives {
  const head = text.slice(0, leadingBlank(text))
  const words = [...head.matchAll(LINE)]
    .flatMap(([, list = '']) => list.toLowerCase().split(/[\s,]+/))
    .filter((word) => word !== '')
    .map((word) => word.replaceAll('_', '-'))
  return {
    noTransaction: words.includes('no-transaction') || OTHERS_NO_TRANSACTION.test(head),
    allowDataLoss: words.includes('allow-data-loss'),
    unknown: words.filter((word) => !KNOWN.has(word)),
    misspelt: [...head.matchAll(LOOKALIKE)].map(([line]) => line.trim()),
    isLate: text.slice(head.length).match(LINE) !== null,
  }
}

/** Whether directives apply to a file; only migrations and seeders, which run once, have them. */
export function hasDirectives({ path }: SchemaFile): boolean {
  return path.startsWith('migrations/') || path.startsWith('seeders/')
}

/** Whether a file has the directive allow-data-loss. */
export function mayLoseData(file: SchemaFile): boolean {
  return hasDirectives(file) && readDirectives(file).allowDataLoss
}
