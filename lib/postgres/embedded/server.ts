import { endServer, sendSignal } from './processes.ts'
import { moreTelling, onLines, type Program } from './run-as.ts'

/** Exit code or signal of a server. */
export interface ServerExit {
  code: number | null
  signal: string | null
}

// The standby's message has the word "read-only".
const READY = /database system is ready to accept (?:read-only )?connections/

// Milliseconds without a log line. Crash recovery logs its progress every 10 s,
// https://www.postgresql.org/docs/18/runtime-config-logging.html#GUC-LOG-STARTUP-PROGRESS-INTERVAL
const PATIENCE = 60_000

/** A PostgreSQL server process that this process has started. */
export class Server {
  readonly pid: number
  /** Resolves when the process has ended and its output is read. */
  readonly ended: Promise<ServerExit>
  /** Promise of `stop()`; undefined before the first call. */
  stopping: Promise<void> | undefined
  #program: Program
  #lastWord = ''
  #onLine: ((line: string) => void) | undefined

  constructor(program: Program, onLog?: (line: string) => void) {
    this.#program = program
    this.pid = program.pid ?? 0
    this.ended = this.#watch()
    program.stdin.end()
    onLines(program, (line) => {
      this.#lastWord = moreTelling(this.#lastWord, line)
      this.#onLine?.(line)
      onLog?.(line)
    })
  }

  /**
   * Resolves when the server accepts connections.
   * @throws {Error} if the server ends first or logs nothing for 60 s; it is stopped in that case
   */
  async ready(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = (what: string) => () => reject(new Error(`PostgreSQL ${what}: ${this.#why()}`))
        timer = setTimeout(fail(`is not ready after ${PATIENCE / 1000} s of silence`), PATIENCE)
        this.#onLine = (line) => {
          timer?.refresh()
          if (READY.test(line)) resolve()
        }
        this.ended.then(fail('ended while it was starting'))
      })
    } catch (error) {
      await this.stop()
      throw error
    } finally {
      clearTimeout(timer)
      this.#onLine = undefined
    }
  }

  /** Stops the server: fast shutdown, then harder ones, see `endServer`. */
  stop(): Promise<void> {
    this.stopping ??= this.#end()
    return this.stopping
  }

  async #end(): Promise<void> {
    await endServer(this.pid, () => this.#isGone())
    await this.ended
  }

  #isGone(): boolean {
    const { pid, exitCode, signalCode } = this.#program
    return pid === undefined || exitCode !== null || signalCode !== null
  }

  // The last log line without its timestamp and pid.
  #why(): string {
    return this.#lastWord.replace(/^.*\[\d+\] /, '') || 'it said nothing'
  }

  #watch(): Promise<ServerExit> {
    // A gateway that ends without stop(), such as after an uncaught error, stops the server too.
    const onProcessExit = () => {
      if (!this.#isGone()) sendSignal(this.pid, 'SIGINT')
    }
    process.once('exit', onProcessExit)
    return this.#whenEnded().finally(() => process.off('exit', onProcessExit))
  }

  #whenEnded(): Promise<ServerExit> {
    return new Promise((resolve) => {
      this.#program.once('error', (error) => {
        this.#lastWord = error.message
        resolve({ code: null, signal: null })
      })
      this.#program.once('exit', (code, signal) => {
        const settle = () => resolve({ code, signal })
        // A child of a killed server (COPY … TO PROGRAM) may keep the output open.
        const timer = setTimeout(settle, 2_000)
        this.#program.once('close', () => {
          clearTimeout(timer)
          settle()
        })
      })
    })
  }
}
