import { endServer, sendSignal } from './processes.ts'
import { moreTelling, onLines, type Program } from './run-as.ts'

/** How a server has ended. */
export interface ServerExit {
  code: number | null
  signal: string | null
}

// A standby says that they are read-only.
const READY = /database system is ready to accept (?:read-only )?connections/

// For a server that says nothing; one that recovers from a crash tells its progress every 10 s,
// https://www.postgresql.org/docs/18/runtime-config-logging.html#GUC-LOG-STARTUP-PROGRESS-INTERVAL
const PATIENCE = 60_000

/** A PostgreSQL server of this process, from its start to its end. */
export class Server {
  readonly pid: number
  /** Settles when the server is gone and has had its last word. */
  readonly ended: Promise<ServerExit>
  /** Its end by `stop()`, once that was called. */
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
   *
   * @throws if it ends before that or falls silent; it is stopped then.
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

  /** Fast shutdown, or a harder one if it takes too long. */
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

  // The last line without the time and the process that PostgreSQL puts before it.
  #why(): string {
    return this.#lastWord.replace(/^.*\[\d+\] /, '') || 'it said nothing'
  }

  #watch(): Promise<ServerExit> {
    // Also a gateway that ends without stopping its server, as after an uncaught error, does not
    // leave it behind.
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
        // A program that a killed server had started (COPY … TO PROGRAM) may hold its output open.
        const timer = setTimeout(settle, 2_000)
        this.#program.once('close', () => {
          clearTimeout(timer)
          settle()
        })
      })
    })
  }
}
