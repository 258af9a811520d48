import type { Look } from '../look.ts'

/** Changes to functions, views, triggers and policies. Functions are named schema.name(types). */
export interface CodeResult {
  /** Number of functions of the archive that are in place now. */
  functionsDeployed: number
  functionsCreated: string[]
  functionsReplaced: string[]
  functionsDropped: string[]
  viewsChanged: string[]
  viewsDropped: string[]
  /** Triggers, policies, types, casts, …, as in `trigger t on public.orders`. */
  othersChanged: string[]
  othersDropped: string[]
}

/** Changes and warnings of a deploy of the code sections. */
export type CodeDeployed = CodeResult & {
  warnings: string[]
  /** Digest of the catalogs after the code ran. */
  look?: Look | undefined
}

/** Returns the result of a deploy that had nothing to do. */
export function unchangedCode(functionsDeployed: number): CodeDeployed {
  return {
    functionsDeployed,
    functionsCreated: [],
    functionsReplaced: [],
    functionsDropped: [],
    viewsChanged: [],
    viewsDropped: [],
    othersChanged: [],
    othersDropped: [],
    warnings: [],
  }
}
