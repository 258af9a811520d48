import { forgetSecrets } from '../config/secrets.ts'
import { logSettings, Settings } from '../config.ts'
import { takePassedSocket } from '../http/listener/passed-socket.ts'
import { createLog, isJournal, type Log } from '../log.ts'
import { reloadSettings } from '../reload.ts'
import { describeStatus } from '../systemd/describe-status.ts'
import { findServiceManager } from '../systemd/service-manager.ts'
import type { RunningService } from './parent.ts'

interface Options {
  settings: Settings
  log: Log
  env: NodeJS.ProcessEnv
  journal: boolean
  handlersFolder: string
  signal: AbortSignal
}

/**
 * Milliseconds in which a second SIGINT is the same Ctrl-C: the terminal sends it to all processes, and npm
 * sends it on.
 */
const ECHO_MS = 500

/**
 * Runs the gateway of this process, alone or as the parent of its workers, and obeys signals. Ends the
 * process where it cannot start.
 * @returns the function that reads the settings again
 */
export async function runService(handlersFolder: string): Promise<() => void> {
  const journal = isJournal(process.env.JOURNAL_STREAM)
  const log = createLog('info', process.stdout, { journal })
  const systemd = findServiceManager(process.env, process.pid, log)
  const stopping = new AbortController()
  let settings: Settings | undefined
  let running: RunningService | undefined

  const finish = async () => {
    try {
      await running?.retire()
      await running?.stop()
      log.info('Stopped')
      process.exit(0)
    } catch (error) {
      log.error(`The shutdown failed: ${(error as Error).message}`)
      process.exit(1)
    }
  }
  let interruptedAt = Number.NEGATIVE_INFINITY
  /** The first signal waits for running requests; the second ends the process at once. */
  const stop = (signal: string) => {
    if (signal === 'SIGINT') {
      const isEcho = performance.now() - interruptedAt < ECHO_MS
      interruptedAt = performance.now()
      if (isEcho) return
    }
    if (stopping.signal.aborted) {
      log.warn(`${signal} again: exiting at once`)
      process.exit(1)
    }
    log.info(`${signal}: stopping; running requests finish first`)
    systemd?.stopping()
    stopping.abort()
    if (running) finish()
  }
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  process.on('SIGUSR2', () => {
    if (!stopping.signal.aborted) running?.replaceWorkers()
  })

  try {
    settings = new Settings(process.cwd(), process.env)
    const env = { ...process.env }
    forgetSecrets(process.env)
    log.configure(logSettings(settings.config))
    const start = settings.config.workers > 1 ? startCrew : startAlone
    const { signal } = stopping
    running = await start({ settings, log, env, journal, handlersFolder, signal })
    if (signal.aborted) await finish()
    const { load, isAlive } = running
    systemd?.ready(() => describeStatus(load()), isAlive)
  } catch (error) {
    // What had started is stopped.
    if (stopping.signal.aborted) await finish()
    log.error((error as Error).message)
    process.exit(1)
  }

  return () => {
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
}

async function startAlone({
  settings,
  log,
  handlersFolder,
  signal,
}: Options): Promise<RunningService> {
  const { loadOf, startGateway } = await import('../start.ts')
  const { gateway, reload, retire, stop } = await startGateway(
    settings.config,
    log,
    handlersFolder,
    {
      signal,
      socket: takePassedSocket(process.env, process.pid),
      onPostgresExit: () => process.exit(1),
    },
  )
  return {
    reload,
    replaceWorkers: () => log.warn('SIGUSR2 replaces workers, and WORKERS is 1: nothing is done'),
    retire,
    stop,
    load: () => loadOf(gateway),
    isAlive: () => true,
  }
}

async function startCrew({
  settings,
  log,
  env,
  journal,
  signal,
}: Options): Promise<RunningService> {
  const { startWorkers } = await import('./parent.ts')
  const socket = takePassedSocket(process.env, process.pid)
  for (const name of Object.keys(env)) if (name.startsWith('LISTEN_')) delete env[name]
  const onFailure = () => process.exit(1)
  return startWorkers({ settings, log, env, socket, journal, signal, onFailure })
}
