import type { SchemaFile } from '../../archive/archive.ts'

/** What a migration or a seeder asks for: `-- gateway: no-transaction, allow-data-loss`. */
export interface Directives {
  noTransaction: boolean
  allowDataLoss: boolean
  /** Words that mean nothing here. */
  unknown: string[]
  /** Lines that look like a directive, and are none. */
  misspelt: string[]
  /** A directive behind the first statement, where it means nothing. */
  isLate: boolean
}

const KNOWN = new Set(['no-transaction', 'allow-data-loss'])

const LINE = /^[ \t]*--[ \t]*gateway[ \t]*:(.*)$/gim

const LOOKALIKE =
  /^[ \t]*--(?![ \t]*gateway[ \t]*:)[^\n:]*:?[ \t]*(?:no[-_]transaction|allow[-_]data[-_]loss)[ \t]*$/gim

/** dbmate and goose say it in their own words. */
const OTHERS_NO_TRANSACTION =
  /^[ \t]*--[ \t]*(?:migrate:up\b.*\btransaction[ \t]*:[ \t]*false\b|\+goose no transaction\b)/im

/** What a file says in the comments before its first statement, upper or lower case. */
export function readDirectives({ text }: SchemaFile): Directives {
  const head = headOf(text)
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

/** The comments and blank lines that a file begins with, whatever comes before its first statement. */
function headOf(text: string): string {
  return /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(text)?.[0] ?? ''
}

/** Whether a file can ask for something: those that run once. */
export function hasDirectives({ path }: SchemaFile): boolean {
  return path.startsWith('migrations/') || path.startsWith('seeders/')
}

/** Whether a file says of itself that it may lose data. */
export function mayLoseData(file: SchemaFile): boolean {
  return hasDirectives(file) && readDirectives(file).allowDataLoss
}
