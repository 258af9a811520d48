import { createHash } from 'node:crypto'
import type { Signature } from './signature.ts'

/** The functions of all databases that have the same objects. */
export interface Schema {
  digest: string
  /** More than the index of each of its signatures. */
  size: number
  /** The overloads of each name, in the order of names. */
  functions: readonly Signature[][]
}

/** A signature that has no place in a schema yet. */
export type LooseSignature = Omit<Signature, 'index'>

/** The overloads of a function; undefined where there is none of that name. */
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
 * The schemas that are known, by digest. What is equal in two of them is one object, so that a
 * thousand schemas that differ in one function take little more than one.
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

  /** Forgets all but these. */
  keep(digests: Set<string>): void {
    this.#signatures.clear()
    this.#overloads.clear()
    for (const [digest, schema] of this.#byDigest) {
      if (!digests.has(digest)) this.#byDigest.delete(digest)
      else for (const overloads of schema.functions) this.#share(overloads)
    }
  }

  /** Those that are known already, where their place is free in this schema; else new ones. */
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

/** The order in which overloads are told. */
function byText(a: Signature, b: Signature): number {
  return a.text < b.text ? -1 : 1
}

function keyOf(loose: LooseSignature): string {
  return createHash('sha256').update(JSON.stringify(loose)).digest('base64').slice(0, 22)
}
