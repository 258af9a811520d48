import { createHash } from 'node:crypto'
import type { Signature } from './signature.ts'

/** The functions of all databases that have the same objects. */
export interface Schema {
  digest: string
  /** Upper bound of the indexes of its signatures: every index is smaller. */
  size: number
  /** Overloads of each name, sorted by name. */
  functions: readonly Signature[][]
}

/** A signature without an index in a schema. */
export type LooseSignature = Omit<Signature, 'index'>

/** Returns the overloads of a function; undefined if there is none. */
export function findFunction({ functions }: Schema, name: string): Signature[] | undefined {
  let from = 0
  let to = functions.length
  while (from < to) {
    const middle = (from + to) >> 1
    const found = functions[middle]![0]!.name
    if (found === name) return functions[middle]
    if (found < name) from = middle + 1
    else to = middle
  }
  return undefined
}

export function functionNames({ functions }: Schema): string[] {
  return functions.map((overloads) => overloads[0]!.name)
}

/**
 * Cache of schemas by digest. Schemas share equal signatures and overload lists as objects, so that
 * a thousand schemas that differ in one function take little more memory than one.
 */
export class Schemas {
  readonly #byDigest = new Map<string, Schema>()
  readonly #signatures = new Map<string, Signature[]>()
  readonly #overloads = new Map<string, Signature[]>()
  readonly #keys = new WeakMap<Signature, string>()

  get size(): number {
    return this.#byDigest.size
  }

  get(digest: string): Schema | undefined {
    return this.#byDigest.get(digest)
  }

  digests(): string[] {
    return [...this.#byDigest.keys()]
  }

  add(digest: string, functions: LooseSignature[]): Schema {
    const known = this.#byDigest.get(digest)
    if (known) return known
    const signatures = this.#place(functions)
    const byName = new Map<string, Signature[]>()
    for (const signature of signatures) {
      const same = byName.get(signature.name)
      if (same) same.push(signature)
      else byName.set(signature.name, [signature])
    }
    const schema: Schema = {
      digest,
      size: Math.max(-1, ...signatures.map(({ index }) => index)) + 1,
      functions: [...byName]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([, overloads]) => this.#shared(overloads.sort(byText))),
    }
    this.#byDigest.set(digest, schema)
    return schema
  }

  /** Drops all schemas except these. */
  keep(digests: Set<string>): void {
    this.#signatures.clear()
    this.#overloads.clear()
    for (const [digest, schema] of this.#byDigest) {
      if (!digests.has(digest)) this.#byDigest.delete(digest)
      else for (const overloads of schema.functions) this.#share(overloads)
    }
  }

  /** Reuses known signatures whose index is free in this schema, and creates the others. */
  #place(functions: LooseSignature[]): Signature[] {
    const taken = new Set<number>()
    const limit = 2 * functions.length + 64
    const placed = functions.map((loose) => {
      const key = keyOf(loose)
      const isFree = ({ index }: Signature) => index < limit && !taken.has(index)
      const signature = this.#signatures.get(key)?.find(isFree)
      if (signature) taken.add(signature.index)
      return { key, loose, signature }
    })
    let next = 0
    return placed.map(({ key, loose, signature }) => {
      if (signature) return signature
      while (taken.has(next)) next++
      const made: Signature = { ...loose, index: next++ }
      this.#keys.set(made, key)
      return made
    })
  }

  #shared(overloads: Signature[]): Signature[] {
    return this.#overloads.get(this.#keyOfAll(overloads)) ?? this.#share(overloads)
  }

  #share(overloads: Signature[]): Signature[] {
    this.#overloads.set(this.#keyOfAll(overloads), overloads)
    for (const signature of overloads) {
      const key = this.#keys.get(signature)!
      const same = this.#signatures.get(key)
      if (!same) this.#signatures.set(key, [signature])
      else if (!same.includes(signature)) same.push(signature)
    }
    return overloads
  }

  #keyOfAll(overloads: Signature[]): string {
    return overloads.map((one) => `${this.#keys.get(one)} ${one.index}`).join()
  }
}

/** Order in which errors list overloads. */
function byText(a: Signature, b: Signature): number {
  return a.text < b.text ? -1 : 1
}

function keyOf(loose: LooseSignature): string {
  return createHash('sha256').update(JSON.stringify(loose)).digest('base64').slice(0, 22)
}
