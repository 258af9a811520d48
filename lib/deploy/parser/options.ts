import type { Node } from 'libpg-query'
import { strings } from './names.ts'

/**
 * The options of CREATE FUNCTION, ALTER FUNCTION or DO, by name, as far as they are texts: of the body,
 * which may be a list, the first one; '' for one that is no text.
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
