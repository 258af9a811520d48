import type { IncomingMessage, ServerResponse } from 'node:http'
import { GatewayError } from '../../errors.ts'
import { BODY_FAILED, tooSlow } from '../listener/http-limits.ts'
import { awaitsContinue, incomplete, mediaType, refuseBody } from './body.ts'
import { refuseEncoding } from './body-encoding.ts'

const REQUEST_TIMEOUT = 408

/** A piece that is waited for. */
interface Waiter {
  resolve: (piece: Buffer | undefined) => void
  reject: (error: GatewayError) => void
}

/**
 * A body of any size that is read in pieces, at the speed of its reader. REQUEST_TIMEOUT_SECS limits
 * the wait for each piece, not the whole body.
 */
export class RawBody {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #timeoutMs: number
  #waiter: Waiter | undefined
  #failure: GatewayError | undefined
  #isBegun = false

  /**
   * @throws {GatewayError} unsupported_media_type unless it is application/octet-stream, without a
   *   content coding
   */
  constructor(req: IncomingMessage, res: ServerResponse, timeoutMs: number) {
    this.#req = req
    this.#res = res
    this.#timeoutMs = timeoutMs
    const type = mediaType(req)
    if (type !== 'application/octet-stream') {
      const message = `Content-Type is ${type || 'missing'}; send application/octet-stream`
      throw new GatewayError('unsupported_media_type', message)
    }
    refuseEncoding(req, res)
    req.on('readable', this.#serve)
    req.once('end', this.#serve)
    req.on('error', () => {})
    req.once('close', () => this.#fail(incomplete()))
    req.on(BODY_FAILED, (error: GatewayError) => {
      // The limit for a whole request, which this one may exceed.
      if (error.status !== REQUEST_TIMEOUT) this.#fail(error)
    })
  }

  /**
   * Returns the next piece; undefined at the end. Only one may be waited for at a time.
   * @throws {GatewayError} invalid_request if the client leaves, sends nothing for
   *   REQUEST_TIMEOUT_SECS (408), or the body is malformed
   */
  async next(): Promise<Buffer | undefined> {
    if (!this.#isBegun && awaitsContinue(this.#req)) this.#res.writeContinue()
    this.#isBegun = true
    const timer = setTimeout(() => this.#fail(tooSlow(this.#timeoutMs)), this.#timeoutMs)
    try {
      return await new Promise((resolve, reject) => {
        this.#waiter = { resolve, reject }
        this.#serve()
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * Gives up what is not read. A short rest is discarded; a long one, or one of unknown length, ends
   * the connection after the answer.
   */
  giveUp(): void {
    const req = this.#req
    req.off('readable', this.#serve)
    // Nobody waits for the next piece any more.
    this.#fail(incomplete())
    const length = req.headers['content-length']
    if (req.complete) req.resume()
    else refuseBody(req, this.#res, length === undefined ? Infinity : Number(length))
  }

  readonly #serve = (): void => {
    const waiter = this.#waiter
    if (!waiter) return
    const piece: Buffer | null = this.#req.read()
    const isEnded = piece === null && this.#req.readableEnded
    if (piece === null && !isEnded && !this.#failure) return
    this.#waiter = undefined
    if (piece === null && !isEnded) waiter.reject(this.#failure!)
    else waiter.resolve(piece ?? undefined)
  }

  #fail(error: GatewayError): void {
    const isLate = error.status === REQUEST_TIMEOUT
    if (isLate && !this.#res.headersSent) this.#res.setHeader('connection', 'close')
    this.#failure ??= error
    this.#serve()
  }
}
