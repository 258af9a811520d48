import type { ShownTimes } from './shown-times.ts'
import type { Tally, TallyKey } from './tally.ts'

/** Calls of a function in all databases of a platform. */
export interface FunctionTimes {
  readonly key: TallyKey
  readonly tally: Tally
  /** What /metrics shows of it up to the last drain; undefined: it is among the rest. */
  shown: ShownTimes | undefined
  idleDrains: number
  /** True: it is no longer counted; the next call gets another one. */
  isDropped: boolean
}

/** Where the calls of a function in one database are counted. */
export interface EntryTimes {
  /** Another one once the database was renamed. */
  key: TallyKey
  function: FunctionTimes
  /** Of this database alone; undefined: other ones are called more often. */
  tally: Tally | undefined
  /** Calls since the last drain. */
  calls: number
}
