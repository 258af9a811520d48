import { Together } from '../common/together.ts'
import { GatewayError } from '../errors.ts'
import type { OpeningQuestion } from '../postgres/pools/call-sessions.ts'

/** How far a server has written. */
export interface Written {
  /** The identifier that PostgreSQL gives a cluster when it is made; its copies have it too. */
  system: string
  /** Each promotion, and each restore to a point in time, begins a new one. */
  timeline: number
  /** Position in the write-ahead log, such as 0/1A2B3C4D. It never decreases within a timeline. */
  position: string
}

/** Select item of what a primary has written, as one word; of a standby, a dash. */
const ITEM = `
  case when pg_catalog.pg_is_in_recovery() then '-' else (
    select pg_catalog.concat_ws('|', s.system_identifier, pg_catalog.pg_walfile_name(at), at)
    from pg_catalog.pg_control_system() s, pg_catalog.pg_current_wal_flush_lsn() as at
  ) end`

/**
 * What this gateway has last seen of how far a server has written. Each new session for calls tells it with
 * its log-in, so that no call runs on an older copy of the server that has taken its place.
 */
export class WrittenBefore {
  #seen: Written | undefined
  #onOlder: (() => void) | undefined
  /** Looks whether the server is itself; rejects where it is not, or does not tell. Undefined of `main`. */
  check: (() => Promise<void>) | undefined
  /** Those who wait for one look share it; it begins after all of them, who have seen something missing. */
  readonly #looking = new Together<string, boolean>(async (asking) => {
    const isItself = await this.#look()
    return asking.map(() => isItself)
  }, Number.POSITIVE_INFINITY)

  /** Notes what the server itself has told, and was found to be in order. */
  note(written: Written | undefined): void {
    this.#seen = written
  }

  /** Resolves when the next session is one of an older copy; for one that waits. */
  heard(): Promise<void> {
    return new Promise((resolve) => {
      this.#onOlder = resolve
    })
  }

  /**
   * Makes sure that something is missing on the server, and not only on an older copy: a log-in that is refused
   * for a database that is missing tells nothing of how far the server has written.
   * @throws {GatewayError} connection_failed if it is an older copy, or that is not known
   */
  async beSure(database: string): Promise<void> {
    if (!this.check || (await this.#looking.run(database))) return
    throw new GatewayError('connection_failed', 'The server may be an older copy of itself', {
      database,
    })
  }

  /** Returns whether the server is known to be itself. */
  async #look(): Promise<boolean> {
    try {
      await this.check?.()
      return true
    } catch {
      this.#onOlder?.()
      return false
    }
  }

  /** Adds to what a new session for calls is asked, where the server tells what it has written. */
  ask(question: OpeningQuestion | undefined): OpeningQuestion | undefined {
    // What is seen while the session opens may be further than what it tells.
    const seen = this.#seen
    if (!seen) return question
    return {
      items: question ? `${question.items}, ${ITEM}` : ITEM,
      onAnswer: (database, values) => {
        const at = values.lastIndexOf(' ')
        const now = parse(values.slice(at + 1))
        if (now && isBehind(now, seen)) {
          this.#onOlder?.()
          throw isOlder(database)
        }
        question?.onAnswer(database, values.slice(0, at))
      },
    }
  }
}

/** Whether one is a server that is older than the other was. */
export function isBehind(one: Written, other: Written): boolean {
  if (one.system !== other.system) return false
  if (one.timeline !== other.timeline) return one.timeline < other.timeline
  return bytesOf(one.position) < bytesOf(other.position)
}

function parse(word: string): Written | undefined {
  const [system = '', file = '', position] = word.split('|')
  return position === undefined
    ? undefined
    : { system, timeline: Number.parseInt(file.slice(0, 8), 16), position }
}

function bytesOf(position: string): bigint {
  const [high, low] = position.split('/')
  return (BigInt(`0x${high}`) << 32n) + BigInt(`0x${low}`)
}

function isOlder(database: string): GatewayError {
  return new GatewayError('connection_failed', 'The server is an older copy of itself', {
    database,
  })
}
