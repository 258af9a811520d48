import type { Look } from '../look.ts'

/** What became of functions, views, triggers and policies. Functions are schema.name(types). */
export interface CodeResult {
  /** How many functions of the archive are in place now. */
  functionsDeployed: number
  functionsCreated: string[]
  functionsReplaced: string[]
  functionsDropped: string[]
  viewsChanged: string[]
  viewsDropped: string[]
  /** Triggers, policies, types, casts, … : `trigger t on public.orders`. */
  othersChanged: string[]
  othersDropped: string[]
}

/** What a deploy of code says: what became of it, and of what it warns. */
export type CodeDeployed = CodeResult & {
  warnings: string[]
  /** What the catalogs were known by behind the code. */
  look?: Look | undefined
}

/** The result where nothing had to be done. */
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
