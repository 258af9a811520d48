import { GatewayError } from '../errors.ts'
import { isSliceOver, nextTurn } from '../json/slices.ts'
import type { Connection } from '../postgres/connection.ts'
import { answers } from '../postgres/pipeline.ts'
import type { BatchCall } from './batch-request.ts'
import { type BoundCall, bindCall } from './bind/parameters.ts'
import { isSame, mayBeStale } from './current.ts'
import type { Signature } from './signature.ts'
import type { Signatures } from './signatures.ts'

/** Binding many small values takes so many times what scanning them does. */
const COST = 8

/** The functions that a batch calls, as they were when it last looked at them. */
export class Functions {
  readonly #signatures: Signatures
  readonly #connection: Connection
  /** By name: the overloads, or why there are none. */
  readonly #known = new Map<string, Signature[] | GatewayError>()

  constructor(signatures: Signatures, connection: Connection) {
    this.#signatures = signatures
    this.#connection = connection
  }

  /** Reads those that are not known yet, each once, one right behind the other. */
  async read(names: Iterable<string>): Promise<void> {
    await answers([...new Set(names)].map((name) => this.#read(name)))
  }

  /**
   * Binds one call; after many parameters the event loop has its turn.
   * @throws {GatewayError} function_not_found, invalid_request; as `bindCall`
   */
  async bind({ name, params }: BatchCall): Promise<BoundCall> {
    const known = this.#known.get(name)
    if (known === undefined || known instanceof GatewayError) throw known
    if (params && isSliceOver(COST * (params.end - params.start))) await nextTurn()
    return bindCall(name, known, params)
  }

  /**
   * Whether a call failed since its function is not as it was: it is looked at again then.
   * @throws {GatewayError} function_not_found where it is gone
   */
  async isReplaced(name: string, error: unknown): Promise<boolean> {
    const known = this.#known.get(name)
    if (known === undefined || known instanceof GatewayError) return false
    if (!mayBeStale(error, known)) return false
    const current = await this.#signatures.renew(this.#connection, name, known)
    this.#known.set(name, current)
    return !isSame(known, current)
  }

  async #read(name: string): Promise<void> {
    const { sql, database } = this.#connection
    try {
      this.#known.set(name, await this.#signatures.get(sql, database, name))
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      this.#known.set(name, error)
    }
  }
}
