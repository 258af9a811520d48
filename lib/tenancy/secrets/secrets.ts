import type { Secret } from './secret.ts'

/**
 * The secret in force, which all gateways of a catalog derive from, and while it is being changed
 * the other one: the next one, or the one before. Which is in force is the catalog's to say.
 */
export class Secrets {
  #current: Secret
  #other: Secret | undefined
  /** The one that the settings want to be in force. */
  readonly wanted: Secret

  constructor(current: Secret, wanted: Secret, other?: Secret) {
    this.#current = current
    this.wanted = wanted
    this.#other = isSame(current, wanted) ? other : wanted
    if (this.#other && isSame(this.#other, current)) this.#other = undefined
  }

  get current(): Secret {
    return this.#current
  }

  /** The one in force is not yet the one that it is to be. */
  get isChanging(): boolean {
    return !isSame(this.#current, this.wanted)
  }

  /** One or two, the one in force first. */
  all(): Secret[] {
    return this.#other ? [this.#current, this.#other] : [this.#current]
  }

  /** The one with this fingerprint; undefined where this gateway does not know it. */
  find(fingerprint: string | null): Secret | undefined {
    return this.all().find((secret) => secret.fingerprint === fingerprint)
  }

  /** From now on the one that is wanted is in force. */
  change(): void {
    if (!this.isChanging) return
    this.#other = this.#current
    this.#current = this.wanted
  }
}

function isSame(a: Secret, b: Secret): boolean {
  return a.fingerprint === b.fingerprint
}
