import type { Query, Request, Statement } from './query.ts'

/**
 * A portal in an open transaction, which is read in batches. Each query returns the next rows;
 * `isSuspended` of its result tells that there may be more.
 */
export class Cursor {
  /** Query of the first rows, at most `maxRows` of the statement. */
  readonly first: Query
  readonly #portal: string
  readonly #admit: Statement['admit']
  readonly #send: (request: Request) => Query

  constructor(statement: Statement, portal: string, send: (request: Request) => Query) {
    this.#portal = portal
    this.#admit = statement.admit
    this.#send = send
    this.first = send({ kind: 'statement', statement, portal })
  }

  /** Fetches at most `maxRows` rows. Fails with SQLSTATE 34000 after the end of the transaction. */
  next(maxRows: number): Query {
    return this.#send({ kind: 'fetch', portal: this.#portal, maxRows, admit: this.#admit })
  }

  /** Closes the portal before the end of its transaction. */
  close(): Query {
    return this.#send({ kind: 'close', portal: this.#portal })
  }
}
