import type { Config, Settings } from './config.ts'
import type { Log } from './log.ts'

/**
 * Reads the settings again, puts those into force that can change while the gateway runs, and logs
 * which need a restart. Where one does not parse, all stay as they are.
 */
export function reloadSettings(
  settings: Settings,
  running: { reload(settings: Config): void },
  log: Log,
): void {
  let reread: ReturnType<Settings['readAgain']>
  try {
    reread = settings.readAgain()
  } catch (error) {
    log.error(`${(error as Error).message}; the previous settings stay in force`)
    return
  }
  const { config, live, restart, covered, lifted } = reread
  running.reload(config)
  if (live.length > 0) log.info(`Settings in force from now on: ${live.join(', ')}`)
  else log.info('The settings have not changed')
  for (const { name, instead } of lifted) log.warn(`${name} is no longer set: ${instead}`)
  if (restart.length > 0) log.warn(`Settings that need a restart: ${restart.join(', ')}`)
  if (covered.length > 0) {
    const names = covered.join(', ')
    log.warn(
      `Settings that the environment of the process has, which goes before the file and cannot change: ${names}`,
    )
  }
}
