import type { NumericFormat } from '../json/numeric-format.ts'
import { LOG_FORMATS, LOG_LEVELS, type LogLevel } from '../log/line.ts'
import { checkCallableSchema } from '../tenancy/callable-schema.ts'
import type { Isolation } from '../tenancy/roles/isolation.ts'

// What the values of settings may be. All of these throw an Error that says what the value is not.

/**
 * Strategies of CREATE DATABASE. The default, wal_log, was the quickest in most measurements, with one
 * file system or another, where the server syncs its files.
 */
export type DatabaseCopy = 'wal_log' | 'file_copy'

/** Any text, such as a path. */
export const asIs = (text: string) => text

const MIN_SECRET_LENGTH = 32

/** Its error does not repeat it. */
export function secretText(value: string): string {
  if (value.length >= MIN_SECRET_LENGTH) return value
  throw new Error(
    `has ${value.length} characters and needs ${MIN_SECRET_LENGTH}, such as of "openssl rand -hex 32"`,
  )
}

/** One of the words. */
export function choice<T extends string>(
  words: T[],
  told = words.join(' or '),
): (value: string) => T {
  return (value) => {
    const word = words.find((one) => one === value)
    if (word !== undefined) return word
    throw new Error(`"${value}" is not ${told}`)
  }
}

const switchWord = choice(['on', 'off'])

export function onOrOff(value: string): boolean {
  return switchWord(value) === 'on'
}

/** `shared-role` is how /health names it. */
export function isolation(value: string): Isolation {
  if (value === 'platform-roles') return 'platform-roles'
  if (value === 'shared' || value === 'shared-role') return 'shared-role'
  throw new Error(`"${value}" is not one of platform-roles, shared`)
}

export const databaseCopy = choice<DatabaseCopy>(
  ['wal_log', 'file_copy'],
  'one of wal_log, file_copy',
)

export function databaseText(value: string): string {
  if (Buffer.byteLength(value) <= 63) return value
  throw new Error(`"${value}" is longer than the 63 bytes of a database's name`)
}

export function hostName(value: string): string {
  if (/^[\w.:-]{1,253}$/.test(value)) return value
  throw new Error(`"${value}" is not a host name or an address`)
}

export function schemaNames(value: string): string[] {
  return value.split(',').map((part) => checkCallableSchema(part.trim()))
}

/** No header could bear another one. The message does not tell what it is. */
export function bearerToken(value: string): string {
  if (/^[!-~]+$/.test(value)) return value
  throw new Error('has other characters than ASCII, or a space')
}

export const optionalOrRequired = choice(['optional', 'required'])

export const olderArchives = choice(['ignore', 'deploy'])

export const numericFormat = choice<NumericFormat>(['number', 'string'])

export const logFormat = choice([...LOG_FORMATS], `one of ${LOG_FORMATS.join(', ')}`)

export function logLevel(value: string): LogLevel {
  const level = LOG_LEVELS.find((known) => known === value.toLowerCase())
  if (level) return level
  throw new Error(`"${value}" is not one of ${LOG_LEVELS.join(', ')}`)
}

/**
 * RUST_LOG is a list of levels and target=level pairs; the level that stands alone is the general
 * one (https://docs.rs/env_logger, "Enabling logging").
 */
export function rustLogLevel(value: string): LogLevel {
  const parts = value.split(',').map((part) => part.trim())
  const general = parts.find((part) => !part.includes('=')) ?? parts[0]?.split('=')[1] ?? ''
  return logLevel(general)
}
