import type { SchemaFile } from '../archive/archive.ts'

/** What a migration or a seeder asks for in its first line: `-- gateway: no-transaction, allow-data-loss`. */
export interface Directives {
  noTransaction: boolean
  allowDataLoss: boolean
  /** Words that mean nothing here. */
  unknown: string[]
}

const KNOWN = new Set(['no-transaction', 'allow-data-loss'])

export function readDirectives(file: SchemaFile): Directives {
  const line = /^--\s*gateway:(.*)/.exec(file.text)?.[1] ?? ''
  const words = line.split(/[\s,]+/).filter((word) => word !== '')
  return {
    noTransaction: words.includes('no-transaction'),
    allowDataLoss: words.includes('allow-data-loss'),
    unknown: words.filter((word) => !KNOWN.has(word)),
  }
}

/** Whether a file can ask for something: those that run once. */
export function hasDirectives({ path }: SchemaFile): boolean {
  return path.startsWith('migrations/') || path.startsWith('seeders/')
}

/** Whether a file says of itself that it may lose data. */
export function mayLoseData(file: SchemaFile): boolean {
  return hasDirectives(file) && readDirectives(file).allowDataLoss
}
