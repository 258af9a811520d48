import { readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isLoopbackHost } from '../../lib/common/loopback.ts'
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
 * @throws {UsageError} for a gateway.json that is not understood, a URL that is none, and a URL of
 *   gateway.json that would get the token of the environment
 */
export function readTarget(args: Record<string, unknown>, { env, folder }: Io): Target {
  let file: Settings | undefined
  const sources = {} as Record<Name, 'flag' | 'environment' | 'file'>
  const read = (name: Name): string | undefined => {
    const flag = args[name]
    sources[name] = 'flag'
    if (typeof flag === 'string' && flag !== '') return flag
    const value = env[VARIABLES[name]]
    sources[name] = 'environment'
    if (value) return value
    file ??= readSettings(folder)
    sources[name] = 'file'
    return file.values[name]
  }
  const url = read('url') ?? DEFAULT_URL
  if (!/^https?:\/\//i.test(url)) {
    throw new UsageError(`The URL of the gateway must begin with http:// or https://; got "${url}"`)
  }
  // What `URL` passes over or writes otherwise could steer a terminal.
  if (!URL.canParse(url) || /[^!-~]/.test(url)) {
    throw new UsageError(`The URL of the gateway is none; got "${url}", not ${DEFAULT_URL}`)
  }
  const { username, password, search, hash } = new URL(url)
  if (username || password || search || hash) {
    throw new UsageError(
      'The URL of the gateway has neither a user, a password, a query nor a fragment: http://localhost:9000',
    )
  }
  const token = read('token')
  // Whoever has written the file, such as that of a repository that was cloned, would get the token.
  const isForeign = sources.url === 'file' && !isLoopbackHost(new URL(url).hostname)
  if (isForeign && sources.token === 'environment') {
    throw new UsageError(
      `${VARIABLES.token} is not sent to ${url}, which ${file?.path} names: name the gateway with --url or ${VARIABLES.url}`,
    )
  }
  return {
    url: url.replace(/^\w+/, (scheme) => scheme.toLowerCase()).replace(/\/+$/, ''),
    platform: read('platform'),
    tenant: read('tenant'),
    token,
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

/** What a gateway.json says. */
interface Settings {
  path: string | undefined
  values: Partial<Record<Name, string>>
}

/**
 * Returns the settings of the nearest gateway.json; none if there is no such file. One above the folder
 * counts only if the owner of the folder, or root, has it: anyone may write one into /tmp.
 */
function readSettings(folder: string): Settings {
  const owners = [ownerOf(folder), 0]
  for (let at = folder; ; at = dirname(at)) {
    const path = join(at, SETTINGS_FILE)
    if (at === folder || owners.includes(ownerOf(path))) {
      const text = readIfThere(path)
      if (text !== undefined) return { path, values: parseSettings(text, path) }
    }
    if (at === dirname(at)) return { path: undefined, values: {} }
  }
}

/** Returns the user who has a file; undefined if it cannot be seen. */
function ownerOf(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.uid
  } catch {
    return undefined
  }
}

function readIfThere(path: string): string | undefined {
  try {
    // Editors of Windows begin a file with a byte order mark.
    return readFileSync(path, 'utf8').replace(/^\ufeff/, '')
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
    // An empty tenant would widen some commands to all databases.
    if (one === '') throw new UsageError(`${path}: ${name} is empty; leave it out`)
  }
  return value
}
