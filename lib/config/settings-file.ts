import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { ConfigError, type Environment, readSetting } from './setting.ts'
import { SETTING_NAMES, SETTINGS_FILE } from './settings.ts'

/**
 * Reads SETTINGS_FILE, or `.env` in `folder`.
 * @returns undefined where SETTINGS_FILE is not set and there is no `.env`
 * @throws {ConfigError} when the file cannot be read, is empty, or has a line that says nothing
 */
export function readSettingsFile(folder: string, env: Environment): Environment | undefined {
  const named = readSetting(env, SETTINGS_FILE)
  const path = resolve(folder, named ?? '.env')
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (named !== undefined) throw new ConfigError(`SETTINGS_FILE: cannot be read: ${message}`)
    if (code === 'ENOENT') return undefined
    throw new ConfigError(`.env cannot be read: ${message}`)
  }
  try {
    return parseSettings(bytes)
  } catch (error) {
    const file = named === undefined ? path : `SETTINGS_FILE: ${path}`
    throw new ConfigError(`${file} ${(error as Error).message}`)
  }
}

const BLANK = /^[ \t]*(?:#.*)?$/
const NAME = /^[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*/

/**
 * Parses lines `NAME=value`, each by Node's `parseEnv`, which passes over what it does not
 * understand: a protection would be lifted without a word. No error repeats a value.
 * @throws {Error} what is wrong with the text, with the number of the line
 */
export function parseSettings(bytes: Uint8Array): Environment {
  const lines = decode(bytes).split(/\r\n|\r|\n/)
  if (lines.every((line) => line.trim() === '')) throw new Error('is empty')
  const settings: Environment = {}
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    if (BLANK.test(line)) continue
    const [head, name] = NAME.exec(line) ?? []
    if (head === undefined || name === undefined) throw atLine(at, 'is not NAME=value')
    const end = lastLineOf(lines, at, head, name)
    Object.assign(settings, parseEnv(lines.slice(at, end + 1).join('\n')))
    at = end
  }
  return settings
}

/** Without a byte order mark. */
function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Error('is not UTF-8')
  }
}

/**
 * Returns the index of the line with which a value ends: one in quotes may go over several.
 * @throws {Error} for a value that would be read otherwise than it looks
 */
function lastLineOf(lines: string[], first: number, head: string, name: string): number {
  const value = lines[first]!.slice(head.length)
  const quote = /^["'`]/.exec(value)?.[0]
  if (quote === undefined) {
    const hash = value.indexOf('#')
    const isComment = hash < 0 || /[ \t]/.test(`${head}${value}`[head.length + hash - 1]!)
    if (isComment || !SETTING_NAMES.has(name)) return first
    throw atLine(first, `has a "#" in the value of ${name}, which needs quotes around it`)
  }
  let rest = value.slice(1)
  for (let at = first; ; rest = lines[++at]!) {
    const close = rest.indexOf(quote)
    if (close >= 0 && BLANK.test(rest.slice(close + 1))) return at
    if (close >= 0) throw atLine(at, 'has text behind the quotes of a value')
    const next = NAME.exec(lines[at + 1] ?? '')?.[1]
    if (at + 1 === lines.length || (next !== undefined && SETTING_NAMES.has(next))) {
      throw atLine(first, `begins a value of ${name} in quotes that are not closed`)
    }
  }
}

function atLine(index: number, problem: string): Error {
  return new Error(`line ${index + 1} ${problem}`)
}
