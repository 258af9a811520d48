import type { EntryTimes } from './times/entry-times.ts'

/** What is counted. */
export interface Counts {
  calls: number
  /** Calls that were answered with an error. */
  errors: number
  /** Milliseconds for which sessions were held for calls. */
  ms: number
  /** Bytes of the rows in answers. */
  bytes: number
  deploys: number
}

/** Counts of one function in one database since the start. */
export interface UsageEntry extends Counts {
  /** The part that was handed out to be written. */
  readonly written: Counts
  /** Entry that goes on with its counts; undefined while it counts itself. */
  into: UsageEntry | undefined
  /** Its function; undefined for the rest of a database. */
  readonly function: string | undefined
  /** Where the durations of its calls are counted; undefined before the first one. */
  times: EntryTimes | undefined
}

/** A function's counts since it was last drained. */
export interface UsageChange extends Counts {
  database: string
  /** `OTHER` for what is counted for the database alone. */
  function: string
}

/** Entries of one database. */
export interface DatabaseUsage {
  other: UsageEntry
  functions: Map<string, UsageEntry>
}

/** Name of what is counted for no function: functions without an entry, deploys, failed look-ups. */
export const OTHER = '(other)'

/** Maximum number of functions, each in one database, that have entries at a time. */
export const MAX_FUNCTIONS = 5000

/** Maximum number of functions that get entries in one day, which limits the rows of the table. */
const MAX_NEW_FUNCTIONS = 2 * MAX_FUNCTIONS

/** Number of databases above which those without calls since the last drain are dropped. */
const MAX_DATABASES = 20_000

/**
 * Counts usage by database and function since the start. A database's sum is exact; its functions
 * beyond MAX_FUNCTIONS count as `OTHER`.
 */
export class UsageCounters {
  readonly #databases = new Map<string, DatabaseUsage>()
  #functions = 0
  #admitted = 0

  /** Returns the entry of a function; without a name, that of the rest of the database. */
  of(database: string, name?: string): UsageEntry {
    let usage = this.#databases.get(database)
    if (!usage) {
      usage = { other: newEntry(undefined), functions: new Map() }
      this.#databases.set(database, usage)
    }
    if (name === undefined) return usage.other
    return usage.functions.get(name) ?? this.#admit(usage, name)
  }

  #admit(usage: DatabaseUsage, name: string): UsageEntry {
    if (this.#functions >= MAX_FUNCTIONS || this.#admitted >= MAX_NEW_FUNCTIONS) return usage.other
    this.#functions++
    this.#admitted++
    const entry = newEntry(name)
    usage.functions.set(name, entry)
    return entry
  }

  /** Returns what was counted since the last drain. Makes room for other functions if none is left. */
  drain(): UsageChange[] {
    const isFull = this.#functions >= MAX_FUNCTIONS
    const changes: UsageChange[] = []
    for (const [database, { other, functions }] of this.#databases) {
      let isIdle = true
      for (const [name, entry] of functions) {
        const change = takeChange(entry)
        if (change) changes.push({ database, function: name, ...change })
        else if (isFull) this.#fold(functions, name, entry, other)
        isIdle &&= !change
      }
      const change = takeChange(other)
      if (change) changes.push({ database, function: OTHER, ...change })
      else if (isIdle && this.#databases.size > MAX_DATABASES) this.#drop(database, functions)
    }
    return changes
  }

  /** Begins another day: as many functions may get entries as before. */
  beginDay(): void {
    this.#admitted = 0
  }

  /** Returns the counts of the databases since the start, by function. */
  *entries(): Iterable<[database: string, name: string, counts: Counts]> {
    for (const [database, { other, functions }] of this.#databases) {
      yield [database, OTHER, other]
      for (const [name, entry] of functions) yield [database, name, entry]
    }
  }

  /** Takes the entries of a database away. Calls that have one of them count on in it. */
  take(database: string): DatabaseUsage | undefined {
    const usage = this.#databases.get(database)
    this.#databases.delete(database)
    return usage
  }

  /** Adds entries that `take` has returned to those of a database. */
  give(database: string, usage: DatabaseUsage): void {
    for (const { times } of usage.functions.values()) {
      if (times) times.key = { ...times.key, database }
    }
    const known = this.#databases.get(database)
    if (!known) {
      this.#databases.set(database, usage)
      return
    }
    merge(usage.other, known.other)
    for (const [name, entry] of usage.functions) {
      const same = known.functions.get(name)
      if (!same) {
        known.functions.set(name, entry)
        continue
      }
      merge(entry, same)
      this.#functions--
    }
  }

  #fold(
    functions: Map<string, UsageEntry>,
    name: string,
    entry: UsageEntry,
    other: UsageEntry,
  ): void {
    addCounts(other, entry)
    addCounts(other.written, entry)
    entry.into = other
    functions.delete(name)
    this.#functions--
  }

  #drop(database: string, functions: Map<string, UsageEntry>): void {
    this.#functions -= functions.size
    this.#databases.delete(database)
  }
}

/** The part of an entry that counts time. */
export type HeldTime = Pick<UsageEntry, 'ms'> & { into?: HeldTime | undefined }

/** Adds milliseconds for which a session was held. */
export function countTime(held: HeldTime | undefined, ms: number): void {
  if (held) current(held).ms += ms
}

/** Adds the time of a call to the entry of its function, which also gets what comes later. */
export function settleTime(held: HeldTime, entry: UsageEntry): void {
  countTime(entry, held.ms)
  held.into = entry
}

/** Counts a call that was answered, with the bytes of its rows. */
export function countCall(entry: UsageEntry, bytes: number): void {
  const counts = current(entry)
  counts.calls++
  counts.bytes += bytes
}

/** Counts a call that was answered with an error, after `bytes` of its rows. */
export function countError(entry: UsageEntry, bytes = 0): void {
  const counts = current(entry)
  counts.calls++
  counts.bytes += bytes
  counts.errors++
}

/** Returns the entry that counts what an entry is given. */
function current<T extends { into?: T | undefined }>(entry: T): T {
  let counts = entry
  while (counts.into) counts = counts.into
  return counts
}

/** Adds an entry to another one, which goes on with its counts. */
function merge(entry: UsageEntry, into: UsageEntry): void {
  addCounts(into, entry)
  addCounts(into.written, entry.written)
  entry.into = into
}

export function addCounts(to: Counts, counts: Counts): void {
  to.calls += counts.calls
  to.errors += counts.errors
  to.ms += counts.ms
  to.bytes += counts.bytes
  to.deploys += counts.deploys
}

export function noCounts(): Counts {
  return { calls: 0, errors: 0, ms: 0, bytes: 0, deploys: 0 }
}

/** A literal: adding to an object that a spread has made takes ten times as long. */
function newEntry(name: string | undefined): UsageEntry {
  return {
    calls: 0,
    errors: 0,
    ms: 0,
    bytes: 0,
    deploys: 0,
    written: noCounts(),
    into: undefined,
    function: name,
    times: undefined,
  }
}

/** Returns what an entry has counted since the last time; undefined: nothing. */
function takeChange(entry: UsageEntry): Counts | undefined {
  const { written } = entry
  // A call that still runs may have added its time already.
  const isSame =
    entry.calls === written.calls && entry.ms === written.ms && entry.deploys === written.deploys
  if (isSame) return undefined
  const change: Counts = {
    calls: entry.calls - written.calls,
    errors: entry.errors - written.errors,
    ms: entry.ms - written.ms,
    bytes: entry.bytes - written.bytes,
    deploys: entry.deploys - written.deploys,
  }
  written.calls = entry.calls
  written.errors = entry.errors
  written.ms = entry.ms
  written.bytes = entry.bytes
  written.deploys = entry.deploys
  return change
}
