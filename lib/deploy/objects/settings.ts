import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

import type { FoundObject } from './object.ts'

/** Settings whose values are lists of names, quoted as they have to be (GUC_LIST_QUOTE). */
const LISTS = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])

/** Those that a file's own SET or WITH has set. */
export function ownSettings(settings: string[], own: string[]): string[] {
  return settings.filter((one) => own.includes(one.slice(0, one.indexOf('=')).toLowerCase()))
}

/**
 * The statements that put back what ALTER … SET has set by hand and a new definition would undo:
 * what is set now, was not by the file as it was, and is not by the file itself.
 */
export function settingStatements(
  { kind, identity, settings }: Pick<FoundObject, 'kind' | 'identity' | 'settings'>,
  before: string[] | undefined,
  own: string[],
): string[] {
  // The first version of the ledger does not tell.
  if (before === undefined) return []
  return settings
    .filter((setting) => !before.includes(setting))
    .map((setting): [name: string, value: string] => {
      const at = setting.indexOf('=')
      return [setting.slice(0, at), setting.slice(at + 1)]
    })
    .filter(([name]) => !own.includes(name.toLowerCase()))
    .map(([name, value]) => {
      if (kind === 'view' || kind === 'materialized view') {
        return `alter ${kind} ${identity} set (${quoteIdentifier(name)} = ${quoteLiteral(value)})`
      }
      const parts = name.split('.').map(quoteIdentifier).join('.')
      const text = LISTS.has(name) ? value : quoteLiteral(value)
      return `alter ${kind} ${identity} set ${parts} to ${text}`
    })
}
