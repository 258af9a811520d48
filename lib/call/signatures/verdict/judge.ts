import type { Worker } from 'node:worker_threads'
import { startThreadBeside } from '../../../common/thread.ts'
import type { SchemaFacts } from '../facts.ts'
import type { Code } from './effects.ts'
import { keepCodes, type PartlyJudged, withKnownCodes } from './known-codes.ts'
import type { Verdict } from './verdict.ts'

/** What the thread is asked. */
export interface Question {
  id: number
  facts: SchemaFacts
  /** What is known of its functions. */
  codes: (Code | undefined)[]
}

/** What it answers. */
export interface Answer {
  id: number
  verdicts: Verdict[]
  /** What it has found out of functions, by their places. */
  codes: [number, Code][]
  /** The parser is not to be used again. */
  isBroken: boolean
}

interface Waiter {
  asked: PartlyJudged
  resolve(verdicts: Verdict[]): void
  reject(error: Error): void
}

/** A thread that was not asked for so long ends: it holds some 50 MB. */
const IDLE_MS = 30_000

let thread: Worker | undefined
let idle: NodeJS.Timeout | undefined
const waiting = new Map<number, Waiter>()
let lastId = 0

/**
 * A verdict of each function that has a signature, in the order of `facts.functions`. It is worked
 * out in a thread of its own: the parser's memory would keep V8 of the main thread marking, and a
 * large schema takes a second.
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

/** It does not keep the process from ending. One that has failed is started again when needed. */
function startThread(): Worker {
  const worker = startThreadBeside(import.meta.url)
  worker.unref()
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
  return worker
}

/** Another thread takes over what this one has not answered. */
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
