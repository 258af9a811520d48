import { type ClientRequest, request as http, type IncomingMessage } from 'node:http'
import { request as https } from 'node:https'
import { createInterface } from 'node:readline'
import { buffer, text } from 'node:stream/consumers'
import {
  broken,
  failureOf,
  isDone,
  isOfType,
  JSON_TYPE,
  LINES_TYPE,
  noGateway,
  parse,
  unreachable,
} from './judge.ts'
import type { Target } from './target.ts'

/** A request to the gateway. */
export interface Request {
  method?: 'GET' | 'POST'
  /** Parameters of the URL; undefined ones are left out. */
  query?: Record<string, string | number | undefined>
  /** Body: a JSON text, or a form. */
  body?: string | FormData
  headers?: Record<string, string>
  /** Aborts the request. */
  signal?: AbortSignal
  /** Longest time in milliseconds until the head of the answer; undefined: any. */
  patienceMs?: number | undefined
}

/** An answer, with its body as it came: JSON.parse would lose digits. */
export interface Answer {
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: the shapes of answers are those of the HTTP contract
  json(): any
}

/** Questions are answered from the catalog; what does not answer by then is stuck, or no gateway. */
const PATIENCE_MS = 60_000

/**
 * Sends a request and returns the answer. A POST has no time limit: a deploy takes as long as it takes.
 * A GET has `patienceMs`, a minute by default.
 * @throws {RequestFailed} for an answer with an error
 * @throws {Failure} if the gateway cannot be reached, or what answers is none: it answers something
 *   else than a JSON object, or sends the request elsewhere
 */
export async function send(target: Target, path: string, request: Request = {}): Promise<Answer> {
  const patienceMs =
    request.body === undefined && request.method !== 'POST' ? PATIENCE_MS : undefined
  return answerOf(target, await open(target, path, { patienceMs, ...request }))
}

/**
 * Reads an answer to its end.
 * @throws as `send`
 */
export async function answerOf(target: Target, response: IncomingMessage): Promise<Answer> {
  const body = await whole(target, response, text(response))
  if (!isDone(response)) throw failureOf(target, response, body)
  if (!isOfType(response, JSON_TYPE) || !body.trimStart().startsWith('{')) {
    throw noGateway(target, response)
  }
  return { text: body, json: () => parse(target, response, body) }
}

/**
 * Returns the bytes of an answer.
 * @param type its content type: a page of another server is no document
 * @throws as `send`
 */
export async function download(
  target: Target,
  path: string,
  type: string,
  request: Request,
): Promise<Buffer> {
  const response = await open(target, path, request)
  const bytes = await whole(target, response, buffer(response))
  if (!isDone(response)) throw failureOf(target, response, bytes.toString())
  if (!isOfType(response, type)) throw noGateway(target, response)
  return bytes
}

/**
 * Sends a request whose answer is a stream of JSON lines, and yields them as they come.
 * @throws as `send`
 */
export async function* sendForLines(
  target: Target,
  path: string,
  request: Request,
): AsyncGenerator<Record<string, unknown>> {
  const headers = { ...request.headers, accept: LINES_TYPE }
  const response = await open(target, path, { ...request, headers })
  if (!isDone(response)) {
    throw failureOf(target, response, await whole(target, response, text(response)))
  }
  if (!isOfType(response, LINES_TYPE)) throw noGateway(target, response)
  let hasFailed: Error | undefined
  response.on('error', (error) => {
    hasFailed = error
  })
  const lines = createInterface({ input: response })[Symbol.asyncIterator]()
  for (;;) {
    // Where the connection breaks, so does the reading of lines.
    const { value: line, done } = await lines.next().catch(() => ({ value: '', done: true }))
    if (done) break
    if (line !== '') yield parse(target, response, line)
  }
  if (hasFailed || !response.complete) throw broken(target, response)
}

/** Waits for the body of an answer. */
async function whole<T>(target: Target, response: IncomingMessage, body: Promise<T>): Promise<T> {
  try {
    return await body
  } catch {
    throw broken(target, response)
  }
}

/**
 * Sends a request, and returns the answer when its head is there.
 * @throws {Failure} if the gateway cannot be reached
 */
export async function open(
  target: Target,
  path: string,
  request: Request,
): Promise<IncomingMessage> {
  const { bytes, type } = await encode(request.body)
  const headers = {
    ...(bytes !== undefined && {
      'content-type': type,
      'content-length': String(bytes.length),
    }),
    ...request.headers,
  }
  const method = request.method ?? (bytes === undefined ? 'GET' : 'POST')
  const sent = begin(target, path, { ...request, method, headers })
  return new Promise((resolve, reject) => {
    const { patienceMs } = request
    const silent = () => sent.destroy(new Error(`it says nothing for ${patienceMs! / 1000} s`))
    const timer = patienceMs === undefined ? undefined : setTimeout(silent, patienceMs)
    sent.on('response', resolve)
    for (const event of ['response', 'close']) sent.on(event, () => clearTimeout(timer))
    sent.on('error', (error) => reject(unreachable(target, error, method, path)))
    sent.end(bytes)
  })
}

/** Begins a request whose body the caller sends, and whose events the caller hears. */
export function begin(
  target: Target,
  path: string,
  { method, query, headers, signal }: Omit<Request, 'body'>,
): ClientRequest {
  const url = new URL(target.url + path)
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  const all = {
    accept: 'application/json',
    ...(target.token !== undefined && { authorization: `Bearer ${target.token}` }),
    ...headers,
  }
  const options = { method, headers: all, signal }
  return (url.protocol === 'https:' ? https : http)(url, options)
}

async function encode(body: Request['body']): Promise<{ bytes?: Buffer; type?: string }> {
  if (body === undefined) return {}
  if (typeof body === 'string') return { bytes: Buffer.from(body), type: 'application/json' }
  const form = new Response(body)
  const type = form.headers.get('content-type') ?? ''
  return { bytes: Buffer.from(await form.arrayBuffer()), type }
}
