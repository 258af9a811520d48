import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

import type { FoundObject } from './object.ts'

/** Settings whose values are lists of names, already quoted (GUC_LIST_QUOTE in PostgreSQL). */
export const LIST_SETTINGS: ReadonlySet<string> = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
])

/** Returns the settings that come from the SET or WITH clause of the file. */
export function ownSettings(settings: string[], own: string[]): string[] {
  return settings.filter((one) => own.includes(one.slice(0, one.indexOf('=')).toLowerCase()))
}

/**
 * Returns the statements that restore settings made by hand with ALTER … SET, which a new
 * definition would reset: those that are set now, but neither by the file's previous text nor by
 * the new one.
 */
export function settingStatements(
  { kind, identity, settings }: Pick<FoundObject, 'kind' | 'identity' | 'settings'>,
  before: string[] | undefined,
  own: string[],
): string[] {
  // The first version of the ledger has no settings.
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
      const text = LIST_SETTINGS.has(name) ? value : quoteLiteral(value)
      return `alter ${kind} ${identity} set ${parts} to ${text}`
    })
}
