import type { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import type { H3Event } from 'h3'
import { toldCancelled } from '../../call/cancelled.ts'
import { csvHeader, csvLines } from '../../call/csv.ts'
import type { Timing } from '../../call/run/attempt.ts'
import type { RowSink } from '../../call/run/stream.ts'
import { GatewayError } from '../../errors.ts'
import type { Row } from '../../postgres/session/query.ts'
import { nodeOf, noteFailedTiming } from '../request.ts'
import { preferred } from './accept.ts'
import { noteTiming } from './answer.ts'
import { toldError } from './answer-error.ts'
import { chooseEncoding, createEncoder } from './compress.ts'
import { joinShort } from './join-short.ts'
import { MIN_BYTES_PER_SECOND, SlowReader } from './slow-reader.ts'

const MEDIA_TYPES = ['application/json', 'application/x-ndjson', 'text/csv'] as const

/** Media types of answers that are sent row by row. */
export type StreamType = Exclude<(typeof MEDIA_TYPES)[number], 'application/json'>

/** Returns the media type of the stream that the client asks for; undefined for plain JSON. */
export function streamTypeOf(event: H3Event): StreamType | undefined {
  const { accept } = nodeOf(event).req.headers
  if (accept === undefined || !/ndjson|csv|text\/\*/i.test(accept)) return undefined
  const type = preferred(accept, MEDIA_TYPES)
  return type === 'application/json' ? undefined : type
}

/**
 * Streams the rows of a call at the client's speed. The head is sent with the first rows, so that
 * an earlier error is answered like any other. A later error cuts the answer short; JSON lines have
 * the error as their last line.
 * @throws {GatewayError} the error of `stream`, if nothing was sent yet
 */
export async function answerStream(
  event: H3Event,
  type: StreamType,
  stream: (as: 'json' | 'columns', sink: RowSink) => Promise<Timing>,
): Promise<void> {
  const { gateway, request } = event.context
  const { res } = nodeOf(event)
  const body = new StreamBody(event, type, gateway.config.statementTimeoutMs)
  request.callKind = 'stream'
  const as = type === 'text/csv' ? 'columns' : 'json'
  try {
    noteTiming(event, await stream(as, body))
    body.end()
  } catch (error) {
    if (!res.headersSent) throw error
    noteFailedTiming(request)
    // The client disconnected or read nothing: the request's log line tells that.
    if (res.destroyed) return
    const told = body.cut(toldCancelled(request.client, error))
    request.error = told.error
    gateway.log.warn('A stream was cut', {
      request_id: request.id,
      platform: request.platform,
      database: request.database,
      function: request.function,
      ...told,
    })
  }
}

/** Body of a streamed answer; begins with the first rows, and an error cuts it short. */
class StreamBody implements RowSink {
  readonly #event: H3Event
  readonly #type: StreamType
  readonly #patienceMs: number
  readonly #reader: SlowReader
  #out: Writable

  /** `patienceMs`: how long the client may read too slowly, in milliseconds, see `SlowReader`. */
  constructor(event: H3Event, type: StreamType, patienceMs: number) {
    this.#event = event
    this.#type = type
    this.#patienceMs = patienceMs
    const res = this.#res
    this.#out = res
    const { socket } = nodeOf(event).req
    const taken = () => socket.bytesWritten - socket.writableLength
    this.#reader = new SlowReader(patienceMs, taken, () => res.destroy())
    res.once('close', () => this.#reader.end())
  }

  get #res(): ServerResponse {
    return nodeOf(this.#event).res
  }

  begin(columns: string[]): void {
    const { request } = this.#event.context
    const res = this.#res
    const encoding = chooseEncoding(nodeOf(this.#event).req.headers['accept-encoding'])
    const ms = Math.round((performance.now() - request.startedAt) * 100) / 100
    const charset = this.#type === 'text/csv' ? 'charset=utf-8; header=present' : 'charset=utf-8'
    res.writeHead(200, {
      'content-type': `${this.#type}; ${charset}`,
      'x-request-id': request.id,
      'server-timing': `first;dur=${ms}`,
      vary: ['accept, accept-encoding', res.getHeader('vary') ?? []].flat().join(', '),
      ...(encoding && { 'content-encoding': encoding }),
    })
    if (encoding) {
      const encoder = createEncoder(encoding)
      encoder.pipe(res)
      // The encoder does not end by itself when its destination is closed.
      res.once('close', () => encoder.destroy())
      this.#out = encoder
    }
    if (this.#type === 'text/csv') this.#out.write(csvHeader(columns))
    else res.flushHeaders()
  }

  async write(rows: Row[]): Promise<void> {
    const lines = this.#type === 'text/csv' ? csvLines(rows) : jsonLines(rows)
    const step = this.#reader.sliceBytes
    for (const bytes of joinShort(lines)) {
      for (let at = 0; at < bytes.length; at += step) {
        if (!this.#out.write(bytes.subarray(at, at + step))) await this.#drained()
      }
    }
  }

  end(): void {
    this.#out.end()
  }

  /** Cuts the answer short so that it does not look complete; returns fields for the log. */
  cut(error: unknown): { error: string; cause: string } {
    const told = toldError(error)
    const res = this.#res
    if (this.#type === 'text/csv') res.destroy()
    else this.#out.write(`${JSON.stringify(told)}\n`, () => setImmediate(() => res.destroy()))
    const cause = error instanceof GatewayError ? error.message : String((error as Error).stack)
    return { error: told.code, cause }
  }

  #drained(): Promise<void> {
    const out = this.#out
    const res = this.#res
    return new Promise((resolve, reject) => {
      const onDrain = () => {
        this.#reader.resume()
        res.off('close', onClose)
        resolve()
      }
      const onClose = () => {
        out.off('drain', onDrain)
        reject(this.#cutBy())
      }
      out.once('drain', onDrain)
      res.once('close', onClose)
      if (res.destroyed) onClose()
      else this.#reader.wait()
    })
  }

  #cutBy(): GatewayError {
    if (!this.#reader.isTooSlow) return new GatewayError('query_timeout', 'The client disconnected')
    const message = `The client read less than ${MIN_BYTES_PER_SECOND} bytes a second for ${this.#patienceMs / 1000} s`
    return new GatewayError('query_timeout', message)
  }
}

const LINE_END = Buffer.from('\n')
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20

/** Returns the lines of rows with one JSON text each. */
function jsonLines(rows: Row[]): Buffer[] {
  const pieces: Buffer[] = []
  for (const [json] of rows) {
    if (json) pieces.push(onOneLine(json), LINE_END)
  }
  return pieces
}

/** Replaces line ends by spaces. In JSON they occur only between values, never in strings. */
function onOneLine(json: Buffer): Buffer {
  if (!json.includes(LF) && !json.includes(CR)) return json
  return json.map((byte) => (byte === LF || byte === CR ? SPACE : byte)) as Buffer
}
