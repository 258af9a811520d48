import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import type { Settings as ProcessSettings } from './lib/config.ts'
import type { RunningGateway } from './lib/start.ts'

let settings: ProcessSettings | undefined
let running: RunningGateway | undefined
let isReloadAsked = false
const stopping = new AbortController()

// Before the parts are loaded, which takes a second: without a listener the signal ends the process.
process.on('SIGHUP', () => reload())

const { forgetSecrets } = await import('./lib/config/secrets.ts')
const { logSettings, Settings } = await import('./lib/config.ts')
const { takePassedSocket } = await import('./lib/http/listener/passed-socket.ts')
const { createLog, isJournal } = await import('./lib/log.ts')
const { reloadSettings } = await import('./lib/reload.ts')
const { describeStatus, startGateway } = await import('./lib/start.ts')
const { findServiceManager } = await import('./lib/systemd/service-manager.ts')

// V8 would allocate the contexts of requests in the old generation after a while, since some live
// longer than two scavenges. There they are dead but not collected until the next full collection,
// and everything that they refer to, such as request and answer, is copied by each scavenge.
setFlagsFromString('--no-allocation-site-pretenuring')

const log = createLog('info', process.stdout, {
  journal: isJournal(process.env.JOURNAL_STREAM),
})
const systemd = findServiceManager(process.env, process.pid, log)

process.on('SIGTERM', () => stop('SIGTERM'))
process.on('SIGINT', () => stop('SIGINT'))

try {
  settings = new Settings(process.cwd(), process.env)
  forgetSecrets(process.env)
  log.configure(logSettings(settings.config))
  running = await startGateway(settings.config, log, join(import.meta.dirname, 'handlers'), {
    signal: stopping.signal,
    socket: takePassedSocket(process.env, process.pid),
    onPostgresExit: () => exit(1),
  })
  if (stopping.signal.aborted) await finish()
  const { gateway } = running
  systemd?.ready(() => describeStatus(gateway))
  if (isReloadAsked) reload()
} catch (error) {
  // startGateway has stopped what it started.
  if (stopping.signal.aborted) await finish()
  log.error((error as Error).message)
  exit(1)
}

/** During the start, remembers it: the file may have changed since it was read. */
function reload(): void {
  isReloadAsked = true
  if (!running || !settings || stopping.signal.aborted) return
  systemd?.reloading()
  try {
    reloadSettings(settings, running, log)
  } catch (error) {
    log.error(`The reload failed: ${(error as Error).message}`)
  } finally {
    // systemctl waits for it.
    systemd?.reloaded()
  }
}

/** The first signal waits for running requests; the second ends the process at once. */
function stop(signal: string): void {
  if (stopping.signal.aborted) {
    log.warn(`${signal} again: exiting at once`)
    exit(1)
  }
  log.info(`${signal}: stopping; running requests finish first`)
  systemd?.stopping()
  stopping.abort()
  if (running) finish()
}

async function finish(): Promise<void> {
  try {
    await running?.retire()
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
