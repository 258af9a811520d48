import type { Node } from 'libpg-query'
import { strings } from './names.ts'

/**
 * Returns the options of a statement, such as CREATE FUNCTION, DO or REINDEX, as texts by name. For a
 * body given as a list, it returns the first text; for an option that is no text, ''.
 */
export function optionsOf(options: Node[] | undefined): Map<string, string> {
  return new Map(
    (options ?? []).flatMap((one): [string, string][] => {
      if (!('DefElem' in one)) return []
      const { defname = '', arg } = one.DefElem
      const texts = arg && 'List' in arg ? strings(arg.List.items) : strings(arg ? [arg] : [])
      return [[defname, texts[0] ?? '']]
    }),
  )
}
