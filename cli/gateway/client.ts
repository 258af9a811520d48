import { type ClientRequest, request as http, type IncomingMessage } from 'node:http'
import { request as https } from 'node:https'
import { createInterface } from 'node:readline'
import { buffer, text } from 'node:stream/consumers'
import { Failure, PROGRAM } from '../command.ts'
import { RequestFailed } from './request-failed.ts'
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
 * @throws {Failure} if the gateway cannot be reached, or answers something else than JSON
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
  const body = await whole(target, text(response))
  const status = response.statusCode ?? 0
  if (status >= 400) throw failureOf(target, status, body)
  return { text: body, json: () => parse(target, status, body) }
}

/**
 * Returns the bytes of an answer.
 * @throws {RequestFailed} for an answer with an error
 */
export async function download(target: Target, path: string, request: Request): Promise<Buffer> {
  const response = await open(target, path, request)
  const bytes = await whole(target, buffer(response))
  const status = response.statusCode ?? 0
  if (status < 400) return bytes
  throw failureOf(target, status, bytes.toString())
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
  const headers = { ...request.headers, accept: 'application/x-ndjson' }
  const response = await open(target, path, { ...request, headers })
  const status = response.statusCode ?? 0
  if (status >= 400) throw failureOf(target, status, await whole(target, text(response)))
  let hasFailed: Error | undefined
  response.on('error', (error) => {
    hasFailed = error
  })
  for await (const line of createInterface({ input: response })) {
    if (line !== '') yield parse(target, status, line)
  }
  if (hasFailed || !response.complete) throw broken(target)
}

/** Waits for the body of an answer. */
async function whole<T>(target: Target, body: Promise<T>): Promise<T> {
  try {
    return await body
  } catch {
    throw broken(target)
  }
}

function broken({ url }: Target): Failure {
  return new Failure(
    `The connection to ${url} broke. The gateway finishes what it has begun; the same command again does what is left`,
  )
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
    sent.on('error', (error) => reject(unreachable(target, error)))
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

/** Returns the failure of a request that got no answer. */
export function unreachable({ url }: Target, error: NodeJS.ErrnoException): Failure {
  const why = error.message || error.code || 'no answer'
  const isRefused = error.code === 'ECONNREFUSED'
  const next = isRefused ? `. Start one with \`${PROGRAM} start\`, or name another with --url` : ''
  return new Failure(`No gateway answers at ${url}: ${why}${next}`)
}

function parse({ url }: Target, status: number, body: string) {
  try {
    return JSON.parse(body)
  } catch {
    throw new Failure(`${url} answers ${status} with what is no JSON: is it a Database Gateway?`)
  }
}

/** Returns the failure that an answer with an error tells of. */
function failureOf(target: Target, status: number, body: string): RequestFailed | Failure {
  const value = parse(target, status, body)
  if (typeof value?.error === 'string' && typeof value.message === 'string') {
    return new RequestFailed(status, value)
  }
  return new Failure(`${target.url} answers ${status}: ${body.slice(0, 200)}`)
}
