import type { Worker } from 'node:worker_threads'
import { startThreadBeside } from '../../../common/thread.ts'
import type { SchemaFacts } from '../facts.ts'
import type { Code } from './effects.ts'
import { keepCodes, type PartlyJudged, withKnownCodes } from './known-codes.ts'
import type { Verdict } from './verdict.ts'

/** Request to the thread. */
export interface Question {
  id: number
  facts: SchemaFacts
  /** Known codes of the functions, by index. */
  codes: (Code | undefined)[]
}

/** Response of the thread. */
export interface Answer {
  id: number
  verdicts: Verdict[]
  /** Codes that the thread has read, by the indexes of the functions. */
  codes: [number, Code][]
  /** True: the parser must not be used again. */
  isBroken: boolean
}

interface Waiter {
  asked: PartlyJudged
  resolve(verdicts: Verdict[]): void
  reject(error: Error): void
}

/** Milliseconds after which an idle thread ends: it holds about 50 MB. */
const IDLE_MS = 30_000

let thread: Worker | undefined
let idle: NodeJS.Timeout | undefined
const waiting = new Map<number, Waiter>()
let lastId = 0

/**
 * Returns a verdict for each function that has a signature, in the order of `facts.functions`. Runs
 * in a worker thread: the parser's memory would burden the garbage collector of the main thread,
 * and a large schema takes a second.
 */
export function judge(facts: SchemaFacts): Promise<Verdict[]> {
  clearTimeout(idle)
  thread ??= startThread()
  const id = ++lastId
  return new Promise((resolve, reject) => {
    const asked = withKnownCodes(facts)
    waiting.set(id, { asked, resolve, reject })
    ask(thread!, id, asked)
  })
}

function ask(worker: Worker, id: number, { facts, codes }: PartlyJudged): void {
  worker.postMessage({ id, facts, codes } satisfies Question)
}

/**
 * Starts the thread. It does not keep the process alive. After a failure, the next request starts
 * another one.
 */
function startThread(): Worker {
  const worker = startThreadBeside(import.meta.url)
  worker.on('message', ({ id, verdicts, codes, isBroken }: Answer) => {
    const waiter = waiting.get(id)
    waiting.delete(id)
    if (waiter && !isBroken) keepCodes(waiter.asked, codes)
    waiter?.resolve(verdicts)
    if (isBroken) replace(worker)
    else if (waiting.size === 0) idle = setTimeout(() => end(worker), IDLE_MS).unref()
  })
  worker.on('error', (error) => {
    if (thread === worker) thread = undefined
    const failed = [...waiting.values()]
    waiting.clear()
    for (const { reject } of failed) reject(error)
  })
  // After the listener for messages, which would have it keep the process alive again.
  worker.unref()
  return worker
}

/** Replaces a thread and sends its unanswered requests to the new one. */
function replace(worker: Worker): void {
  if (thread !== worker) return
  worker.removeAllListeners('message')
  worker.terminate().catch(() => {})
  thread = undefined
  if (waiting.size === 0) return
  thread = startThread()
  for (const [id, { asked }] of waiting) ask(thread, id, asked)
}

function end(worker: Worker): void {
  if (waiting.size > 0 || thread !== worker) return
  thread = undefined
  worker.terminate().catch(() => {})
}
