/** Variables, by name. */
export type Environment = Record<string, string | undefined>

/** A setting that does not parse. The message is one line that names the setting. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** What docs/settings.md and .env.example say of a setting. */
export interface SettingText {
  /** What the setting does. */
  about: string
  /** What happens at the limits of the value, or with a value that is not as expected. */
  edge?: string
  /** What holds where the setting has no default value. */
  none?: string
  /** A value, for .env.example. */
  example?: string
  /** The value is secret, or contains a password. */
  secret?: true
  /** Keeps somebody out: a reload that takes it away is logged as a warning. */
  protects?: true
  /** Read at the start alone; SIGHUP says that a change needs a restart. */
  restart?: true
}

/** One setting: an environment variable, how its text is parsed, and what the documents say. */
export interface Setting<T> extends SettingText {
  name: string
  /** What the text is: `seconds`, `bytes`, `number`, `CIDR blocks`, … */
  kind: string
  /** The smallest and the largest value, of numbers. */
  range?: [min: number, max: number]
  /** The text that is parsed where the variable is absent or empty. */
  default?: string
  /** The value where there is no text and no default. */
  unset: T
  /** Throws an Error that says what the text is not. */
  parse: (text: string) => T
}

/** Settings by the name of the value in `Config`. */
// biome-ignore lint/suspicious/noExplicitAny: parse takes a text and gives any value
export type SettingGroup = Record<string, Setting<any>>

/** The values of a group of settings. */
export type ValuesOf<G> = { [Key in keyof G]: G[Key] extends Setting<infer T> ? T : never }

/** The largest timeout of Node.js timers, in seconds. */
const LARGEST_TIMER_SECONDS = Math.floor((2 ** 31 - 1) / 1000)
const MEBIBYTE = 1024 * 1024
const GIBIBYTE = 1024 * MEBIBYTE

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    if (number >= min && number <= max) return number
    throw new Error(`"${text}" is not a whole number from ${min} to ${max}`)
  }
}

/** A whole number. A fallback of Infinity means that there is no limit. */
export function integer(
  name: string,
  fallback: number,
  [min, max]: [min: number, max: number],
  text: SettingText,
  kind = 'number',
): Setting<number> {
  const parse = wholeNumber(min, max)
  const found = Number.isFinite(fallback) ? { default: String(fallback) } : {}
  return { ...text, ...found, name, kind, range: [min, max], unset: fallback, parse }
}

/** A duration: the text is in seconds, the value in milliseconds. */
export function seconds(
  name: string,
  fallback: number,
  text: SettingText,
  min = 1,
): Setting<number> {
  const range: [number, number] = [min, LARGEST_TIMER_SECONDS]
  const setting = integer(name, fallback, range, text, 'seconds')
  return { ...setting, unset: fallback * 1000, parse: secondsFrom(min) }
}

/** Parses a duration in seconds, not less than `min`, to milliseconds. */
export function secondsFrom(min: number): (text: string) => number {
  const parse = wholeNumber(min, LARGEST_TIMER_SECONDS)
  return (text) => parse(text) * 1000
}

/** A size in bytes, whose default is in MiB. */
export function bytes(
  name: string,
  fallbackMiB: number,
  text: SettingText,
  range: [min: number, max: number] = [1, GIBIBYTE],
): Setting<number> {
  return integer(name, fallbackMiB * MEBIBYTE, range, text, 'bytes')
}

/** A text with a default. */
export function word<T>(
  name: string,
  kind: string,
  fallback: string,
  parse: (text: string) => T,
  text: SettingText,
): Setting<T> {
  return { ...text, name, kind, default: fallback, unset: parse(fallback), parse }
}

/** A list that is empty where the setting is absent. */
export function list<T>(
  name: string,
  kind: string,
  parse: (text: string) => T[],
  text: SettingText,
): Setting<T[]> {
  return { ...text, name, kind, unset: [], parse }
}

/** Values by name, of which there are none where the setting is absent. */
export function named<T>(
  name: string,
  kind: string,
  parse: (text: string) => Map<string, T>,
  text: SettingText,
): Setting<Map<string, T>> {
  return { ...text, name, kind, unset: new Map(), parse }
}

/** A text without a default: the value is undefined where the setting is absent. */
export function optional<T>(
  name: string,
  kind: string,
  parse: (text: string) => T | undefined,
  text: SettingText,
): Setting<T | undefined> {
  return { ...text, name, kind, unset: undefined, parse }
}

/** The text of a variable, without spaces around it; undefined where it is absent or empty. */
export function textOf(env: Environment, name: string): string | undefined {
  return env[name]?.trim() || undefined
}

/** @throws {ConfigError} where the text does not parse */
export function readSetting<T>(env: Environment, { name, unset, parse }: Setting<T>): T {
  const text = textOf(env, name)
  if (text === undefined) return unset
  try {
    return parse(text)
  } catch (error) {
    throw new ConfigError(`${name}: ${(error as Error).message}`)
  }
}

/** @throws {ConfigError} for the first setting of the group that does not parse */
export function readGroup<G extends SettingGroup>(env: Environment, group: G): ValuesOf<G> {
  const values = Object.entries(group).map(([key, setting]) => [key, readSetting(env, setting)])
  return Object.fromEntries(values)
}
