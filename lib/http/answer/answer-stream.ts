import type { ServerResponse } from 'node:http'
import type { Writable } from 'node:stream'
import type { H3Event } from 'h3'
import { csvHeader, csvLines } from '../../call/csv.ts'
import type { Timing } from '../../call/run/attempt.ts'
import type { RowSink } from '../../call/run/stream.ts'
import { GatewayError } from '../../errors.ts'
import type { Row } from '../../postgres/session/query.ts'
import { nodeOf, noteFailedTiming } from '../request.ts'
import { preferred } from './accept.ts'
import { noteTiming } from './answer.ts'
import { chooseEncoding, createEncoder } from './compress.ts'
import { joinShort } from './join-short.ts'
import { MIN_BYTES_PER_SECOND, SlowReader } from './slow-reader.ts'

const MEDIA_TYPES = ['application/json', 'application/x-ndjson', 'text/csv'] as const

/** The forms in which rows come as they are read. */
export type StreamType = Exclude<(typeof MEDIA_TYPES)[number], 'application/json'>

/** The stream that a client asks for; undefined: JSON, in one piece. */
export function streamTypeOf(event: H3Event): StreamType | undefined {
  const { accept } = nodeOf(event).req.headers
  if (accept === undefined || !/ndjson|csv|text\/\*/i.test(accept)) return undefined
  const type = preferred(accept, MEDIA_TYPES)
  return type === 'application/json' ? undefined : type
}

/**
 * Answers with the rows of a call as they come, at the client's pace. The head goes out with the
 * first rows, so that what fails before them is an error as any other; what fails behind them ends
 * the answer before its end, with the error as the last line of JSON lines.
 * @throws {GatewayError} what `stream` throws, as long as nothing went out
 */
export async function answerStream(
  event: H3Event,
  type: StreamType,
  stream: (as: 'json' | 'columns', sink: RowSink) => Promise<Timing>,
): Promise<void> {
  const { gateway, request } = event.context
  const { res } = nodeOf(event)
  const body = new StreamBody(event, type, gateway.config.statementTimeoutMs)
  const as = type === 'text/csv' ? 'columns' : 'json'
  try {
    noteTiming(event, await stream(as, body))
    body.end()
  } catch (error) {
    if (!res.headersSent) throw error
    noteFailedTiming(request)
    // The client went away, or read nothing: the log's line of the request says that.
    if (res.destroyed) return
    const told = body.cut(error)
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

/** The body of an answer: begun with the first rows, cut short by an error. */
class StreamBody implements RowSink {
  readonly #event: H3Event
  readonly #type: StreamType
  readonly #patienceMs: number
  readonly #reader: SlowReader
  #out: Writable

  /** `patienceMs`: how long the client may read too slowly, see `SlowReader`. */
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
      // A client that goes away leaves the encoder with nobody to write to.
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

  /** Ends it so that nobody takes it for whole; returns what the log says. */
  cut(error: unknown): { error: string; cause: string } {
    const told =
      error instanceof GatewayError
        ? error
        : new GatewayError('internal_error', 'Something went wrong; the log says what')
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
    if (!this.#reader.isTooSlow) return new GatewayError('query_timeout', 'The client went away')
    const message = `The client read less than ${MIN_BYTES_PER_SECOND} bytes a second for ${this.#patienceMs / 1000} s`
    return new GatewayError('query_timeout', message)
  }
}

const LINE_END = Buffer.from('\n')
const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20

/** Of rows with one JSON text each. A `json` may have line ends between its values. */
function jsonLines(rows: Row[]): Buffer[] {
  const pieces: Buffer[] = []
  for (const [json] of rows) {
    if (json) pieces.push(onOneLine(json), LINE_END)
  }
  return pieces
}

/** A line end within a JSON text is white space: strings have none. */
function onOneLine(json: Buffer): Buffer {
  if (!json.includes(LF) && !json.includes(CR)) return json
  return json.map((byte) => (byte === LF || byte === CR ? SPACE : byte)) as Buffer
}
