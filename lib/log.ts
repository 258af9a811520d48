import { createConsola, LogLevels } from 'consola'
import { ecs } from './log/ecs.ts'
import { json } from './log/json.ts'
import { LeftOut } from './log/left-out.ts'
import type { Format, LogFields, LogFormat, LogLevel, RequestLine } from './log/line.ts'
import { text } from './log/text.ts'
import { allTaken, bufferedWriter, type LogTarget, numberLine, priorityOf } from './log/writer.ts'

export { isJournal } from './log/writer.ts'
export type { LogFields, LogFormat, LogLevel, LogTarget, RequestLine }

/** What is logged, and how. It may change while the gateway runs. */
export interface LogSettings {
  level: LogLevel
  /** Undefined: `text` in a terminal, `json` elsewhere. */
  format?: LogFormat | undefined
  /** Lines a second of requests that succeeded; further ones are counted and left out. */
  maxSuccessesPerSecond?: number
  /** Milliseconds from which a request has its line in any case. */
  slowMs?: number
  /** Name of the service in `ecs`. */
  serviceName?: string
}

export interface Log {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  trace(message: string, fields?: LogFields): void
  /**
   * Logs a request: at level warn from status 500 on, otherwise at level info. Costs a quarter of
   * the other methods.
   */
  request(line: RequestLine): void
  /** Uses other settings from the next line on. */
  configure(settings: LogSettings): void
}

const SERVICE = 'database-gateway'

/**
 * Milliseconds that the line of a worker's request, but for `text`, may wait for others: each write costs the
 * parent, which hands it on, as much as a fifth of a call.
 */
const WORKER_WAIT_MS = 10

/**
 * Creates a log on consola: lines for people in a terminal, one JSON object a line elsewhere, or what
 * the settings say. Lines of one turn of the event loop are written together, those of a worker's requests
 * within 10 ms.
 * @param journal whether the target is systemd's journal, which is told the priority of each line
 * @param worker number of the worker that writes, which its lines have; undefined: a process alone
 */
export function createLog(
  given: LogLevel | LogSettings,
  target: LogTarget = process.stdout,
  { journal = false, worker }: { journal?: boolean; worker?: number } = {},
): Log {
  const nextLine = bufferedWriter(target)
  const numbered = worker === undefined ? undefined : numberLine(worker)
  const waitMs = worker === undefined ? 0 : WORKER_WAIT_MS
  /** Returns a line, or its beginning, with what goes before it. */
  const whole = (line: string, level: string) =>
    (journal ? priorityOf(level) : '') + (numbered ? numbered(line) : line)
  const write = (line: string, level: string) => nextLine().add(whole(line, level)).add('\n')
  let format: Format
  /** With what the line of a request begins. */
  let begins: Record<'info' | 'warn', string>
  let maxLevel: number
  const log = createConsola({
    // consola suppresses repeated lines; a request log has many of them.
    throttle: 0,
    reporters: [
      {
        log({ date, type, args }) {
          const [message, fields = {}] = args as [unknown, LogFields | undefined]
          write(format.entry(date, type, String(message), fields), type)
        },
      },
    ],
  })
  const leftOut = new LeftOut((left_out) => {
    const lines =
      left_out === 1 ? 'a request that succeeded' : `${left_out} requests that succeeded`
    log.info(`The log leaves out ${lines} (LOG_SUCCESSES_PER_SEC)`, { left_out })
  })
  const configure = (settings: LogSettings) => {
    const { level, serviceName = SERVICE } = settings
    maxLevel = LogLevels[level]
    log.level = maxLevel
    format = { text, json, ecs: ecs(serviceName) }[
      settings.format ?? (target.isTTY ? 'text' : 'json')
    ]
    const begin = format.request?.begin ?? ''
    begins = { info: whole(begin, 'info'), warn: whole(begin, 'warn') }
    leftOut.set(settings.maxSuccessesPerSecond ?? Infinity, settings.slowMs ?? Infinity)
  }
  const request = (line: RequestLine) => {
    const level = line.status >= 500 ? 'warn' : 'info'
    if (maxLevel < LogLevels[level] || leftOut.isLeftOut(line)) return
    if (format.request) format.request.write(nextLine(waitMs).add(begins[level]), line, level)
    else log[level](`${line.method} ${line.path}`, { ...line })
  }
  configure(typeof given === 'string' ? { level: given } : given)
  return Object.assign(log, { request, configure })
}

/** Resolves when the parent of a worker has been given all lines; what it has not when this exits is lost. */
export function workerLinesTaken(): Promise<void> {
  return allTaken(process.stdout, WORKER_WAIT_MS)
}

/** Returns a log whose lines have these fields too; its settings are those of `log`. */
export function logWith(log: Log, fields: LogFields): Log {
  return {
    error: (message, more) => log.error(message, { ...more, ...fields }),
    warn: (message, more) => log.warn(message, { ...more, ...fields }),
    info: (message, more) => log.info(message, { ...more, ...fields }),
    debug: (message, more) => log.debug(message, { ...more, ...fields }),
    trace: (message, more) => log.trace(message, { ...more, ...fields }),
    request: (line) => log.request(line),
    configure: (settings) => log.configure(settings),
  }
}
