import { isIP } from 'node:net'
import { join } from 'node:path'
import { readConfig, readEnvironment } from '../../lib/config.ts'
import { createLog } from '../../lib/log.ts'
import { startGateway } from '../../lib/start.ts'
import { send } from '../gateway/client.ts'
import { RequestFailed } from '../gateway/request-failed.ts'
import type { Target } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import { printable, styles } from '../terminal/style.ts'

const SIGTERM = 15

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

/** Returns whether a gateway of this process can be the one that the target's URL names. */
export function isOwn({ url }: Target): boolean {
  const { protocol, hostname } = new URL(url)
  const isLoopback = hostname === 'localhost' || hostname === '[::1]' || isLoopbackAddress(hostname)
  return protocol === 'http:' && isLoopback
}

function isLoopbackAddress(host: string): boolean {
  return isIP(host) === 4 && host.startsWith('127.')
}

/**
 * Starts a gateway in this process at the target's URL, with the settings of the environment and of
 * .env: on the PostgreSQL of DATABASE_URL, or on an embedded one. It makes no templates unless
 * TEMPLATES says so, since each save is an archive of its own.
 * @returns a function that stops it
 * @throws {Error} with a message of one line
 */
export async function startOwnGateway(target: Target, io: Io): Promise<() => Promise<void>> {
  const { hostname, port } = new URL(target.url)
  const env = readEnvironment(io.folder, io.env)
  const config = readConfig({
    TEMPLATES: 'off',
    ...env,
    GATEWAY_HOST: hostname.replace(/^\[|\]$/g, ''),
    GATEWAY_PORT: port || '80',
    SHUTDOWN_TIMEOUT_SECS: '1',
  })
  const log = createLog('warn', { write: (lines: string) => showWarnings(lines, io) })
  const { stop } = await startGateway(config, log, HANDLERS)
  // An embedded PostgreSQL must not stay behind.
  const onTerminate = () => stop().finally(() => process.exit(128 + SIGTERM))
  process.once('SIGTERM', onTerminate)
  return () => {
    process.off('SIGTERM', onTerminate)
    return stop()
  }
}

/** Shows lines of the gateway's log, each a JSON object. */
function showWarnings(lines: string, io: Io): boolean {
  const { yellow } = styles(io.hasColor)
  for (const line of lines.trim().split('\n')) {
    io.err(`${yellow('!')} ${printable(String(JSON.parse(line).message))}\n`)
  }
  return true
}
