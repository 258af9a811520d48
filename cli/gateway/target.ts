import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suggestion } from '../args.ts'
import { PROGRAM, UsageError } from '../command.ts'
import type { Io } from '../io.ts'

/** The gateway that a command speaks to, and whose databases it is about. */
export interface Target {
  url: string
  platform: string | undefined
  /** Undefined: no tenant is named. */
  tenant: string | undefined
  token: string | undefined
}

/** File with the members of `Target`, in the working folder or one above it. */
const SETTINGS_FILE = 'gateway.json'

const VARIABLES = {
  url: 'GATEWAY_URL',
  platform: 'GATEWAY_PLATFORM',
  tenant: 'GATEWAY_TENANT',
  token: 'GATEWAY_TOKEN',
} as const

type Name = keyof typeof VARIABLES
const NAMES = Object.keys(VARIABLES) as Name[]

const DEFAULT_URL = 'http://127.0.0.1:9000'

/**
 * Returns the target of a command: each value from its flag, else from the environment, else from
 * the nearest gateway.json.
 * @throws {UsageError} for a gateway.json that is not understood, and a URL that is none
 */
export function readTarget(args: Record<string, unknown>, { env, folder }: Io): Target {
  let file: Partial<Record<Name, string>> | undefined
  const read = (name: Name): string | undefined => {
    const flag = args[name]
    if (typeof flag === 'string' && flag !== '') return flag
    const value = env[VARIABLES[name]]
    if (value) return value
    file ??= readSettings(folder)
    return file[name]
  }
  const url = read('url') ?? DEFAULT_URL
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new UsageError(`The URL of the gateway must begin with http:// or https://; got "${url}"`)
  }
  return {
    url: url.replace(/\/+$/, ''),
    platform: read('platform'),
    tenant: read('tenant'),
    token: read('token'),
  }
}

/**
 * Returns the platform of the target.
 * @throws {UsageError} if none is named
 */
export function platformOf({ platform }: Target): string {
  if (platform !== undefined) return platform
  throw new UsageError(
    `Which platform? Give --platform, or set GATEWAY_PLATFORM, or "platform" in ${SETTINGS_FILE} (\`${PROGRAM} init\` writes one)`,
  )
}

/** A tenant of this name stands for the main database, which no tenant can be named. */
export const MAIN = 'main'

/** Returns the tenant that a request names; undefined for the main database. */
export function tenantOf({ tenant }: Target): string | undefined {
  return tenant === MAIN ? undefined : tenant
}

/** Returns the settings of the nearest gateway.json; none if there is no such file. */
function readSettings(folder: string): Partial<Record<Name, string>> {
  for (let at = folder; ; at = dirname(at)) {
    const path = join(at, SETTINGS_FILE)
    const text = readIfThere(path)
    if (text !== undefined) return parseSettings(text, path)
    if (at === dirname(at)) return {}
  }
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw new UsageError(`${path} cannot be read: ${message}`)
  }
}

function parseSettings(text: string, path: string): Partial<Record<Name, string>> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${path} is not JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UsageError(`${path} must be a JSON object`)
  }
  for (const [name, one] of Object.entries(value)) {
    if (!NAMES.includes(name as Name)) {
      throw new UsageError(
        `${path}: unknown member "${name}"${suggestion(name, NAMES)}; it takes ${NAMES.join(', ')}`,
      )
    }
    if (typeof one !== 'string') throw new UsageError(`${path}: ${name} must be a text`)
  }
  return value
}
