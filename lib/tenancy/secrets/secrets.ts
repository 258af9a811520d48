import type { Secret } from './secret.ts'

/**
 * The secret in force, from which all gateways of a catalog derive passwords, and during a change
 * the other one: the next secret, or the previous one. The catalog decides which is in force.
 */
export class Secrets {
  #current: Secret
  #other: Secret | undefined
  /** Secret that the settings ask for. */
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

  /** True while the secret in force is not the one that the settings ask for. */
  get isChanging(): boolean {
    return !isSame(this.#current, this.wanted)
  }

  /** Returns one or two secrets, the one in force first. */
  all(): Secret[] {
    return this.#other ? [this.#current, this.#other] : [this.#current]
  }

  /** Returns the secret with this fingerprint, or undefined if this gateway does not have it. */
  find(fingerprint: string | null): Secret | undefined {
    return this.all().find((secret) => secret.fingerprint === fingerprint)
  }

  /** Puts the wanted secret into force. */
  change(): void {
    if (!this.isChanging) return
    this.#other = this.#current
    this.#current = this.wanted
  }
}

function isSame(a: Secret, b: Secret): boolean {
  return a.fingerprint === b.fingerprint
}
