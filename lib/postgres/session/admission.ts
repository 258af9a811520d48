import type { Leave, Query } from './query.ts'

/** Leave is asked for every so many bytes of an answer, and for each message that is longer. */
const ADMITTED_BYTES = 64 * 1024

/** Asks whether an answer may grow by so many bytes. A promise that rejects ends the session. */
export type Admit = (bytes: number, query: Query | undefined) => Leave

/** Asks for leave to read answers: the query that they are of, or else who has the session. */
export class Admission {
  readonly #admit: Admit | undefined
  /** Bytes of the answer since leave was asked for. */
  #bytes = 0

  constructor(admit: Admit | undefined) {
    this.#admit = admit
  }

  /** A row is announced. */
  ofRow(query: Query | undefined, length: number): 'take' | 'drop' | Promise<void> {
    this.#bytes += length
    const isShort = this.#bytes <= ADMITTED_BYTES && !query?.admitsEach
    return isShort ? 'take' : this.#ask(query, this.#bytes)
  }

  /** Another message is announced, which is never dropped. */
  ofOther(query: Query | undefined, length: number): 'take' | Promise<void> {
    if (length <= ADMITTED_BYTES) return 'take'
    const leave = this.#ask(query, length)
    return leave === 'drop' ? 'take' : leave
  }

  /** The next answer begins. */
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
