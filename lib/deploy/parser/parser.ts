import { Worker } from 'node:worker_threads'
import type { BodyNames } from './body-names.ts'
import type { FileValues } from './evaluated.ts'
import type { Hidden } from './hidden.ts'
import type { ReadStatement } from './read.ts'
import type { Statement } from './statement.ts'

/** What the thread is asked. */
export interface Question {
  id: number
  task: 'split' | 'read' | 'routine' | 'values' | 'body names'
  text: string
}

/** What the thread answers. */
export interface Answer {
  id: number
  result: unknown
}

interface Waiter {
  resolve(result: unknown): void
  reject(error: Error): void
}

const THREAD = new URL('./start-thread.mjs', import.meta.url)

/**
 * PostgreSQL's parser is WebAssembly with a memory of its own. In the main thread that memory would
 * keep V8 marking all the time, and every tenth object of a call alive through many collections;
 * and a large file would hold up all calls.
 */
let thread: Worker | undefined
const waiting = new Map<number, Waiter>()
let lastId = 0

/**
 * The statements of a file, split by PostgreSQL's own parser. A text that it cannot parse is one
 * statement: the server then says what is wrong with it, and where.
 */
export function splitStatements(text: string): Promise<Statement[]> {
  return ask('split', text) as Promise<Statement[]>
}

/** What PostgreSQL's own parser says of one statement. */
export function readStatement(text: string): Promise<ReadStatement> {
  return ask('read', text) as Promise<ReadStatement>
}

/** What a file evaluates when it runs. */
export function readValues(text: string): Promise<FileValues> {
  return ask('values', text) as Promise<FileValues>
}

/** What a function does besides answering; `definition` is its CREATE FUNCTION. */
export function readRoutine(definition: string): Promise<Hidden> {
  return ask('routine', definition) as Promise<Hidden>
}

/** What the body of a CREATE FUNCTION in PL/pgSQL names. */
export function bodyNamesIn(text: string): Promise<BodyNames> {
  return ask('body names', text) as Promise<BodyNames>
}

function ask(task: Question['task'], text: string): Promise<unknown> {
  thread ??= startThread()
  const id = ++lastId
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject })
    thread!.postMessage({ id, task, text } satisfies Question)
  })
}

/** It does not keep the process from ending. One that has failed is started again when needed. */
function startThread(): Worker {
  const worker = new Worker(THREAD, { execArgv: [] })
  worker.unref()
  worker.on('message', ({ id, result }: Answer) => {
    waiting.get(id)?.resolve(result)
    waiting.delete(id)
  })
  worker.on('error', (error) => {
    thread = undefined
    const failed = [...waiting.values()]
    waiting.clear()
    for (const { reject } of failed) reject(error)
  })
  return worker
}
