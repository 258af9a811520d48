import { join } from 'node:path'
import { forgetSecrets } from './lib/config/secrets.ts'
import { logSettings, readConfig, readEnvironment } from './lib/config.ts'
import { takePassedSocket } from './lib/http/listener/passed-socket.ts'
import { createLog, isJournal } from './lib/log.ts'
import { type RunningGateway, startGateway } from './lib/start.ts'

const log = createLog('info', process.stdout, {
  journal: isJournal(process.env.JOURNAL_STREAM),
})
let running: RunningGateway | undefined
const stopping = new AbortController()

process.on('SIGTERM', () => stop('SIGTERM'))
process.on('SIGINT', () => stop('SIGINT'))
// Before the start is complete there is nothing to reload.
process.on('SIGHUP', () => running?.reload())

try {
  const config = readConfig(readEnvironment(process.cwd()))
  forgetSecrets(process.env)
  log.configure(logSettings(config))
  running = await startGateway(config, log, join(import.meta.dirname, 'handlers'), {
    signal: stopping.signal,
    socket: takePassedSocket(process.env, process.pid),
    onPostgresExit: () => exit(1),
  })
  if (stopping.signal.aborted) await finish()
} catch (error) {
  // startGateway has stopped what it started.
  if (stopping.signal.aborted) await finish()
  log.error((error as Error).message)
  exit(1)
}

/** The first signal waits for running requests; the second ends the process at once. */
function stop(signal: string): void {
  if (stopping.signal.aborted) {
    log.warn(`${signal} again: exiting at once`)
    exit(1)
  }
  log.info(`${signal}: stopping; running requests finish first`)
  stopping.abort()
  if (running) finish()
}

async function finish(): Promise<void> {
  try {
    await running?.stop()
    log.info('Stopped')
    exit(0)
  } catch (error) {
    log.error(`The shutdown failed: ${(error as Error).message}`)
    exit(1)
  }
}

function exit(code: number): never {
  process.exit(code)
}
