import { type Reference, referenceTo } from '../parser/references.ts'
import type { Script } from '../run/run-file.ts'

/**
 * Sorts files so that each follows the files that create what it needs, as far as the dependencies
 * are free of cycles. Otherwise the order stays the same. Files that create nothing come last: they
 * describe objects of other files (comments, grants).
 */
export function inOrder(scripts: Script[]): Script[] {
  const makers = new Map<Reference, Script[]>()
  for (const script of scripts) {
    for (const { made } of script.statements) {
      const reference = made && referenceTo(made)
      if (!reference) continue
      const known = makers.get(reference)
      if (!known) makers.set(reference, [script])
      else if (known.at(-1) !== script) known.push(script)
    }
  }
  const sorted = new Set<Script>()
  const visited = new Set<Script>()
  const visit = (script: Script) => {
    if (visited.has(script)) return
    visited.add(script)
    for (const { needs } of script.statements) {
      for (const need of needs) {
        for (const maker of makers.get(need) ?? []) visit(maker)
      }
    }
    sorted.add(script)
  }
  const isLast = (script: Script) => !script.statements.some(({ made }) => made)
  for (const script of scripts.filter((script) => !isLast(script))) visit(script)
  for (const script of scripts.filter(isLast)) visit(script)
  return [...sorted]
}
