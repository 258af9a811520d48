import { OTHER, type UsageEntry } from '../counters.ts'
import type { EntryTimes, FunctionTimes } from './entry-times.ts'
import { byCalls, foldFunctions, MAX_ROWS } from './fold.ts'
import { bucketOf } from './histogram.ts'
import { ShownTimes } from './shown-times.ts'
import { type EndedCall, Tally, type TallyRow } from './tally.ts'

/** Maximum number of functions of all platforms that are counted apart in memory. */
const MAX_FUNCTIONS = 1000

/** Drains without a call after which a function gives its place in /metrics to another one. */
const IDLE_DRAINS = 60

/**
 * Counts calls with their durations since the last drain: by platform and function, and apart for
 * those functions of single databases that are called most. The functions of a platform that are
 * called least are one, named `OTHER`. A call costs some 0.1 µs.
 */
export class CallTimes {
  readonly #platformOf: (database: string) => string | undefined
  readonly #platforms = new Map<string, Map<string, FunctionTimes>>()
  #functions = 0
  #shown = 0
  /** What /metrics shows for all functions that it does not show apart. */
  readonly #rest = new ShownTimes()
  /** Entries that were called since the last drain. */
  #called: EntryTimes[] = []
  /** Entries that have a tally of their own. */
  #apart = new Set<EntryTimes>()

  constructor(platformOf: (database: string) => string | undefined) {
    this.#platformOf = platformOf
  }

  /**
   * Counts a call that has ended.
   * @param name its function; undefined: none that exists
   * @param entry what counts its use; undefined: nothing does
   */
  note(
    database: string,
    name: string | undefined,
    entry: UsageEntry | undefined,
    call: EndedCall,
  ): void {
    const bucket = bucketOf(call.ms)
    const times = entry?.times
    if (!times || times.function.isDropped) {
      this.#noteFirst(database, name, entry, call, bucket)
      return
    }
    times.function.tally.add(bucket, call)
    times.tally?.add(bucket, call)
    if (times.calls++ === 0) this.#called.push(times)
  }

  /** Returns what was counted since the last drain, and forgets it. */
  drain(): TallyRow[] {
    const rows = this.read()
    this.#ageShown()
    this.#rankEntries()
    this.#makeRoom()
    for (const each of this.#all()) each.tally.clear()
    for (const { tally } of this.#apart) tally!.clear()
    for (const times of this.#called) times.calls = 0
    this.#called = []
    return rows
  }

  /** Returns what was counted since the last drain. */
  read(): TallyRow[] {
    const called = [...this.#all()].filter(({ tally }) => tally.calls > 0)
    const apart = this.#called.filter(({ tally }) => tally !== undefined && tally.calls > 0)
    return [...foldFunctions(called), ...apart].map(({ key, tally }) => ({
      ...key,
      ...tally!.pack(),
    }))
  }

  /** Returns the calls of each function since the start, or since it is shown; last, the rest. */
  shown(): { platform: string; function: string; times: ShownTimes }[] {
    const rest = this.#rest.copy()
    const found = []
    for (const { key, tally, shown } of this.#all()) {
      const times = shown ? shown.copy() : rest
      times.add(tally)
      if (shown) found.push({ platform: key.platform, function: key.function, times })
    }
    return [...found, { platform: OTHER, function: OTHER, times: rest }]
  }

  *#all(): Iterable<FunctionTimes> {
    for (const functions of this.#platforms.values()) yield* functions.values()
  }

  #noteFirst(
    database: string,
    name: string | undefined,
    entry: UsageEntry | undefined,
    call: EndedCall,
    bucket: number,
  ): void {
    const platform = this.#platformOf(database)
    if (platform === undefined) return
    const ofFunction = this.#functionOf(platform, name ?? OTHER)
    ofFunction.tally.add(bucket, call)
    // Other functions may share an entry without a name.
    if (entry?.function === undefined) return
    const key = { platform, database, function: entry.function }
    const times = entry.times ?? { key, function: ofFunction, tally: undefined, calls: 0 }
    times.function = ofFunction
    entry.times = times
    if (!times.tally && this.#apart.size < MAX_ROWS) this.#setApart(times)
    times.tally?.add(bucket, call)
    if (times.calls++ === 0) this.#called.push(times)
  }

  #functionOf(platform: string, name: string): FunctionTimes {
    let functions = this.#platforms.get(platform)
    const known = functions?.get(name)
    if (known) return known
    if (this.#functions >= MAX_FUNCTIONS) {
      if (name !== OTHER) return this.#functionOf(platform, OTHER)
      // The number of platforms is limited, too.
      if (platform !== OTHER && !functions) return this.#functionOf(OTHER, OTHER)
    }
    if (!functions) {
      functions = new Map()
      this.#platforms.set(platform, functions)
    }
    const times: FunctionTimes = {
      key: { platform, database: null, function: name },
      tally: new Tally(),
      shown: undefined,
      idleDrains: 0,
      isDropped: false,
    }
    functions.set(name, times)
    this.#functions++
    if (this.#shown < MAX_ROWS) this.#show(times)
    return times
  }

  #show(times: FunctionTimes): void {
    if (times.key.function === OTHER) return
    times.shown = new ShownTimes()
    this.#shown++
  }

  #setApart(times: EntryTimes): void {
    times.tally = new Tally()
    this.#apart.add(times)
  }

  /** Adds the tallies to what /metrics shows. Those called most get the places that are free. */
  #ageShown(): void {
    const waiting: FunctionTimes[] = []
    for (const times of this.#all()) {
      const { shown, tally } = times
      ;(shown ?? this.#rest).add(tally)
      times.idleDrains = tally.calls > 0 ? 0 : times.idleDrains + 1
      if (!shown && tally.calls > 0) waiting.push(times)
    }
    if (waiting.length === 0) return
    // A function that leaves is not added to the rest, which would seem to be called at once.
    for (const times of this.#all()) if (times.idleDrains >= IDLE_DRAINS) this.#hide(times)
    for (const times of waiting.sort(byCalls)) if (this.#shown < MAX_ROWS) this.#show(times)
  }

  #hide(times: FunctionTimes): void {
    if (!times.shown) return
    times.shown = undefined
    this.#shown--
  }

  /** Gives the tallies of single databases to those entries that were called most. */
  #rankEntries(): void {
    if (this.#called.every(({ tally }) => tally)) return
    const most = this.#called.sort((a, b) => b.calls - a.calls).slice(0, MAX_ROWS)
    const keeping = new Set(most)
    const lacking = most.filter(({ tally }) => !tally)
    for (const times of this.#apart) {
      if (this.#apart.size + lacking.length <= MAX_ROWS) break
      if (keeping.has(times)) continue
      times.tally = undefined
      this.#apart.delete(times)
    }
    for (const times of lacking) this.#setApart(times)
  }

  /** Drops half of the functions, those that were called least, when no more would fit. */
  #makeRoom(): void {
    if (this.#functions < MAX_FUNCTIONS) return
    const all = [...this.#all()].sort(byCalls)
    for (const times of all.slice(MAX_FUNCTIONS / 2)) {
      this.#hide(times)
      times.isDropped = true
      const functions = this.#platforms.get(times.key.platform)!
      functions.delete(times.key.function)
      if (functions.size === 0) this.#platforms.delete(times.key.platform)
      this.#functions--
    }
  }
}
