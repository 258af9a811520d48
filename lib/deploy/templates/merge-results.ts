import type { DeployResult } from '../result.ts'

/**
 * Merges the results of two consecutive deploys into that of a single deploy. The second one must
 * have changed code only.
 */
export function mergeResults(first: DeployResult, second: DeployResult): DeployResult {
  return {
    ...second,
    isUnchanged: false,
    migrationsApplied: first.migrationsApplied,
    typesChanged: first.typesChanged,
    tablesCreated: first.tablesCreated,
    differences: second.differences ?? first.differences,
    functionsCreated: merged(
      first.functionsCreated,
      second.functionsCreated,
      second.functionsDropped,
    ),
    functionsReplaced: first.functionsReplaced,
    functionsDropped: [],
    viewsChanged: merged(first.viewsChanged, second.viewsChanged, second.viewsDropped),
    viewsDropped: [],
    seedersApplied: first.seedersApplied,
    ...(first.seeded && { seeded: first.seeded }),
    tableChanges: [],
    warnings: [...new Set([...first.warnings, ...second.warnings])],
  }
}

function merged(first: string[], second: string[], gone: string[]): string[] {
  const names = new Set(first)
  for (const name of gone) names.delete(name)
  for (const name of second) names.add(name)
  return [...names]
}
