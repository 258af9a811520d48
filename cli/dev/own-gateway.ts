import { join } from 'node:path'
import { isLoopbackHost } from '../../lib/common/loopback.ts'
import { type Config, readConfig, readEnvironment } from '../../lib/config.ts'
import { createLog } from '../../lib/log.ts'
import { startGateway } from '../../lib/start.ts'
import { send } from '../gateway/client.ts'
import { RequestFailed } from '../gateway/request-failed.ts'
import type { Target } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import { printable, styles } from '../terminal/style.ts'

const HANDLERS = join(import.meta.dirname, '../../handlers')

/** Returns whether a gateway answers at the target's URL. */
export async function isThere(target: Target): Promise<boolean> {
  try {
    await send(target, '/live')
    return true
  } catch (error) {
    return error instanceof RequestFailed
  }
}

/** Returns whether the target's URL is of this machine. */
export function isOfThisMachine({ url }: Target): boolean {
  return isLoopbackHost(new URL(url).hostname)
}

/** Returns whether a gateway of this process can be the one that the target's URL names. */
export function isOwn(target: Target): boolean {
  return isOfThisMachine(target) && target.url.startsWith('http:')
}

/**
 * Returns the settings of a gateway at the target's URL, by the environment and .env: on the PostgreSQL
 * of DATABASE_URL, or on an embedded one. It makes no templates unless TEMPLATES says so, since each
 * save is an archive of its own.
 * @throws {ConfigError} naming the first setting that does not parse
 */
export function ownConfig(target: Target, io: Io): Config {
  const { hostname, port } = new URL(target.url)
  const env = readEnvironment(io.folder, io.env)
  return readConfig({
    TEMPLATES: 'off',
    ...env,
    GATEWAY_HOST: hostname.replace(/^\[|\]$/g, ''),
    GATEWAY_PORT: port || '80',
    SHUTDOWN_TIMEOUT_SECS: '1',
  })
}

/**
 * Starts a gateway in this process.
 * @returns a function that stops it
 * @throws {Error} with a message of one line
 */
export async function startOwnGateway(config: Config, io: Io): Promise<() => Promise<void>> {
  const log = createLog('warn', { write: (lines: string) => showWarnings(lines, io) })
  const { stop } = await startGateway(config, log, HANDLERS)
  return stop
}

/** Shows lines of the gateway's log, each a JSON object. */
function showWarnings(lines: string, io: Io): boolean {
  const { yellow } = styles(io.hasColor)
  for (const line of lines.trim().split('\n')) {
    io.err(`${yellow('!')} ${printable(String(JSON.parse(line).message))}\n`)
  }
  return true
}
