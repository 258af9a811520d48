import type { Query, Request, Statement } from './query.ts'

/**
 * A portal of a transaction that is open: its rows come a few at a time. Each query gives the next
 * rows; `isSuspended` of its result says that there may be more.
 */
export class Cursor {
  /** The first rows, at most `maxRows` of the statement. */
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

  /** The next rows, at most so many. Fails with SQLSTATE 34000 once the transaction has ended. */
  next(maxRows: number): Query {
    return this.#send({ kind: 'fetch', portal: this.#portal, maxRows, admit: this.#admit })
  }

  /** Frees it before its transaction ends. */
  close(): Query {
    return this.#send({ kind: 'close', portal: this.#portal })
  }
}
