import { spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import type { Log } from '../log.ts'

/** How often the status is told where systemd watches nothing. */
const STATUS_EVERY_MS = 15_000

/** Pause before a sender that has ended is started again. */
const RESTART_MS = 1000

/**
 * Reads messages, one a line with tabs between the variables, and has systemd-notify send each. A
 * shell, because Node.js has no datagram sockets of Unix, and because a fork of the gateway's own
 * process would hold up its calls for as long as the kernel copies its page tables. It ends with its
 * input: signals that systemctl sends to all processes of the service are meant for the gateway.
 */
const SENDER = `
trap '' HUP INT TERM USR1 USR2
tab=$(printf '\\t')
while IFS=$tab read -r a b c; do
  systemd-notify "$a" \${b:+"$b"} \${c:+"$c"}
done`

/** Tells systemd about the service, as sd_notify(3) has it. */
export interface ServiceManager {
  /**
   * The start is complete. From now on tells the status, and that the event loop turns, as long as
   * `isAlive` says that those of the workers do too.
   */
  ready(status: () => string, isAlive?: () => boolean): void
  /** A reload begins; `reloaded` must follow. */
  reloading(): void
  reloaded(): void
  stopping(): void
}

/**
 * Returns the service manager that NOTIFY_SOCKET names; undefined without one. Takes its variables out
 * of the environment: children, such as PostgreSQL, must not speak for the gateway.
 * @param pid id of this process; WATCHDOG_PID may name another one
 */
export function findServiceManager(
  env: NodeJS.ProcessEnv,
  pid: number,
  log: Log,
): ServiceManager | undefined {
  const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, PATH } = env
  for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name]
  if (!NOTIFY_SOCKET) return undefined
  const isWatched = WATCHDOG_PID === undefined || WATCHDOG_PID === `${pid}`
  const watchdogMs = isWatched ? Number(WATCHDOG_USEC ?? 0) / 1000 : 0
  const send = startSender({ NOTIFY_SOCKET, PATH }, log)
  send(['STATUS=Starting'])
  let told: string | undefined
  let timer: NodeJS.Timeout | undefined

  const tell = (status: () => string, ...variables: string[]) => {
    const text = status()
    if (text !== told) variables.push(`STATUS=${text}`)
    told = text
    if (variables.length > 0) send(variables)
  }
  return {
    ready(status, isAlive = () => true) {
      tell(status, 'READY=1')
      const beat = () => (watchdogMs > 0 && isAlive() ? ['WATCHDOG=1'] : [])
      const again = () => tell(status, ...beat())
      timer = setInterval(again, watchdogMs / 2 || STATUS_EVERY_MS).unref()
    },
    reloading() {
      // The clock of process.hrtime is CLOCK_MONOTONIC.
      send(['RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`])
    },
    reloaded: () => send(['READY=1']),
    stopping() {
      clearInterval(timer)
      send(['STOPPING=1', 'STATUS=Running requests finish'])
    },
  }
}

/**
 * Starts the sender, and again where it ends before this process; returns the function that sends
 * variables as one message, in order.
 */
function startSender(env: NodeJS.ProcessEnv, log: Log): (variables: string[]) => void {
  let hasFailed = false
  const fail = (reason: string) => {
    if (!hasFailed) log.warn(`systemd cannot be told about the gateway: ${reason}`)
    hasFailed = true
  }
  /** Input of the sender, while one runs. */
  let input: Writable | undefined
  /** Messages while no sender runs, and the last one before, which the sender may not have sent. */
  let kept: string[] = []
  const write = (line: string) => {
    kept = input ? [line] : [...kept, line]
    input?.write(line)
  }
  const start = () => {
    const started = spawn('/bin/sh', ['-c', SENDER], { env, stdio: ['pipe', 'ignore', 'pipe'] })
    input = started.stdin
    started.once('error', ({ message }) => fail(message))
    started.once('exit', (code, signal) => {
      input = undefined
      const how = signal ?? `status ${code}`
      log.warn(
        `The process that tells systemd about the gateway has ended (${how}): starting it again`,
      )
      setTimeout(start, RESTART_MS).unref()
    })
    started.stderr.setEncoding('utf8').on('data', (text: string) => fail(text.trim()))
    // Of a sender that has ended, `exit` tells.
    started.stdin.on('error', () => {})
    // The sender ends with its input, when what was written is sent: not before this process does.
    started.unref()
    for (const stream of [started.stdin, started.stderr]) {
      if ('unref' in stream && typeof stream.unref === 'function') stream.unref()
    }
    for (const line of kept) started.stdin.write(line)
  }
  start()
  return (variables) => write(`${variables.join('\t')}\n`)
}
