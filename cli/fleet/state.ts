/** A line or a body of the HTTP contract. */
// biome-ignore lint/suspicious/noExplicitAny: the shapes of answers are those of the HTTP contract
export type Line = Record<string, any>

/** How far a fleet is, by the lines that the gateway has sent. */
export interface Fleet {
  total: number
  done: number
  /** Databases that are being deployed to. */
  running: string[]
  /** Lines of the databases that failed. */
  failed: Line[]
  /** The summary or the error, which comes last. */
  end: Line | undefined
}

export function newFleet(): Fleet {
  return { total: 0, done: 0, running: [], failed: [], end: undefined }
}

/** Takes in a line. Returns the line if it is that of a database that has ended. */
export function take(fleet: Fleet, line: Line): Line | undefined {
  if (typeof line.error === 'string' || line.databases_updated !== undefined) {
    fleet.end = line
    fleet.running = []
    return undefined
  }
  if (line.status === 'running') {
    if (line.databases === undefined) return undefined
    fleet.total = line.total
    fleet.running = line.databases
    return undefined
  }
  fleet.done++
  fleet.running = fleet.running.filter((database) => database !== line.database)
  if (line.status === 'failed') fleet.failed.push(line)
  return line
}
