import type { Leave, Query } from './query.ts'

/** Permission is asked for every 64 KiB of an answer, and for each longer message. */
const ADMITTED_BYTES = 64 * 1024

/** Asks whether an answer may grow by so many bytes. A rejected promise ends the session. */
export type Admit = (bytes: number, query: Query | undefined) => Leave

/** Asks for permission to read an answer: its query's `admit`, or else the session's. */
export class Admission {
  readonly #admit: Admit | undefined
  /** Bytes of the answer since permission was last asked for. */
  #bytes = 0

  constructor(admit: Admit | undefined) {
    this.#admit = admit
  }

  /** Called when the header of a DataRow has come. */
  ofRow(query: Query | undefined, length: number): 'take' | 'drop' | Promise<void> {
    this.#bytes += length
    const isShort = this.#bytes <= ADMITTED_BYTES && !query?.admitsEach
    return isShort ? 'take' : this.#ask(query, this.#bytes)
  }

  /** Called when the header of another message has come; such a message is never dropped. */
  ofOther(query: Query | undefined, length: number): 'take' | Promise<void> {
    if (length <= ADMITTED_BYTES) return 'take'
    const leave = this.#ask(query, length)
    return leave === 'drop' ? 'take' : leave
  }

  /** Called when the next answer begins. */
  restart(): void {
    this.#bytes = 0
  }

  #ask(query: Query | undefined, bytes: number): 'take' | 'drop' | Promise<void> {
    this.#bytes = 0
    if (query) query.admittedBytes += bytes
    const own = query?.admit
    const leave = own ? own(bytes) : (this.#admit?.(bytes, query) ?? true)
    if (leave === true) return 'take'
    if (!(leave instanceof Error)) return leave
    if (query) query.refusal ??= leave
    return 'drop'
  }
}
