import { type DatabaseResult, describeResult } from './results.ts'

/** What a fleet tells while it runs. */
export interface FleetProgress {
  /** Called with the names of the databases that are to be deployed to. */
  onBegin?: (databases: string[]) => void
  /** Called when the turn of a database has come. */
  onStart?: (database: string) => void
  /** Called when a database whose turn had come has to wait for another turn. It may get none. */
  onPutOff?: (database: string) => void
  /** Called with the result of each database when it ends. */
  onEnd?: (result: DatabaseResult) => void
}

/**
 * Returns what writes a line for each database that ends; with `isAsked` also a line of status
 * `running` whenever a database starts: how many there are, how many are done, and which are being
 * deployed to.
 */
export function progressLines(write: (line: object) => void, isAsked: boolean): FleetProgress {
  const running = new Set<string>()
  let total = 0
  let done = 0
  const tell = () => {
    if (isAsked) write({ status: 'running', total, done, databases: [...running] })
  }
  return {
    onBegin: (databases) => {
      total = databases.length
      tell()
    },
    onStart: (database) => {
      running.add(database)
      tell()
    },
    onPutOff: (database) => {
      running.delete(database)
      tell()
    },
    onEnd: (result) => {
      running.delete(result.database)
      done++
      write(describeResult(result))
    },
  }
}
