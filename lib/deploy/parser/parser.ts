import type { Worker } from 'node:worker_threads'
import { startThreadBeside } from '../../common/thread.ts'
import { GatewayError } from '../../errors.ts'
import type { BodyNames } from './body-names.ts'
import type { FileValues } from './evaluated.ts'
import type { Hidden } from './hidden.ts'
import type { ReadStatement } from './read.ts'
import type { Statement } from './statement.ts'

/** A request to the parser thread. */
export interface Question {
  id: number
  task: 'split' | 'read' | 'routine' | 'values' | 'body names'
  text: string
}

/** An answer of the parser thread. */
export interface Answer {
  id: number
  result: unknown
  /** True instead of a result: expressions of the text are nested too deeply. */
  isTooDeep?: boolean
  /** The thread may answer no more: see `isSpoiled` of pg-parser.ts. */
  isSpoiled: boolean
}

interface Waiter extends Question {
  resolve(result: unknown): void
  reject(error: Error): void
}

/**
 * Worker thread with PostgreSQL's parser, which is WebAssembly with a memory of its own. In the
 * main thread that memory would keep V8 marking permanently and keep a tenth of the objects of
 * calls alive through many collections. A large file would also block all calls while it is parsed.
 */
let thread: Worker | undefined
const waiting = new Map<number, Waiter>()
let lastId = 0

/**
 * Splits a file into statements with PostgreSQL's own parser. A text that it cannot parse is one
 * statement, so that the server reports the syntax error and its position.
 */
export function splitStatements(text: string): Promise<Statement[]> {
  return ask('split', text) as Promise<Statement[]>
}

/** Parses one statement with PostgreSQL's own parser. */
export function readStatement(text: string): Promise<ReadStatement> {
  return ask('read', text) as Promise<ReadStatement>
}

/** Returns what a file evaluates when it runs. */
export function readValues(text: string): Promise<FileValues> {
  return ask('values', text) as Promise<FileValues>
}

/**
 * Returns the effects of a function besides its result.
 * @param definition its CREATE FUNCTION statement
 */
export function readRoutine(definition: string): Promise<Hidden> {
  return ask('routine', definition) as Promise<Hidden>
}

/** Returns the names in the body of a CREATE FUNCTION in PL/pgSQL. */
export function bodyNamesIn(text: string): Promise<BodyNames> {
  return ask('body names', text) as Promise<BodyNames>
}

function ask(task: Question['task'], text: string): Promise<unknown> {
  const id = ++lastId
  return new Promise((resolve, reject) => {
    const waiter = { id, task, text, resolve, reject }
    waiting.set(id, waiter)
    put(waiter)
  })
}

function put({ id, task, text }: Question): void {
  thread ??= startThread()
  thread.postMessage({ id, task, text } satisfies Question)
}

function tooDeep(text: string): GatewayError {
  return new GatewayError(
    'schema_extraction_failed',
    `An expression is nested too deeply, or is a chain of thousands of operators, in the statements that begin with: ${text.trimStart().slice(0, 100)}`,
  )
}

/** Starts the thread. It does not keep the process alive; after a failure it is started again. */
function startThread(): Worker {
  const worker = startThreadBeside(import.meta.url)
  worker.on('message', ({ id, result, isTooDeep, isSpoiled }: Answer) => {
    if (worker !== thread) return
    const waiter = waiting.get(id)
    if (isTooDeep) waiter?.reject(tooDeep(waiter.text))
    else waiter?.resolve(result)
    waiting.delete(id)
    if (isSpoiled) replaceThread(worker)
  })
  worker.on('error', (error) => {
    if (worker !== thread) return
    thread = undefined
    const failed = [...waiting.values()]
    waiting.clear()
    for (const { reject } of failed) reject(error)
  })
  // After the listener for messages, which would have it keep the process alive again.
  worker.unref()
  return worker
}

/** Ends the thread, and has another one answer what it has not answered. */
function replaceThread(worker: Worker): void {
  thread = undefined
  void worker.terminate()
  for (const waiter of waiting.values()) put(waiter)
}
