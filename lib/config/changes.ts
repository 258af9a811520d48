import { type Environment, type Setting, textOf } from './setting.ts'

/** What differs between two readings of the settings, by name. */
export interface Changes {
  /** Settings that may change while the gateway runs. */
  live: string[]
  /** Settings that need a restart. */
  restart: string[]
  /** Settings that differ in the file, where the environment of the process goes first. */
  covered: string[]
  /** Of `live`, protections that are no longer set, each with what holds instead. */
  lifted: { name: string; instead: string }[]
}

/** One reading: the environment of the process goes over the file. */
export interface Reading {
  file: Environment
  process: Environment
}

/**
 * Compares the texts of two readings.
 * @param needsRestart whether a change of this setting needs a restart
 */
export function compareReadings(
  settings: readonly Setting<unknown>[],
  before: Reading,
  after: Reading,
  needsRestart: (setting: Setting<unknown>) => boolean,
): Changes {
  const changes: Changes = { live: [], restart: [], covered: [], lifted: [] }
  for (const setting of settings) {
    const { name } = setting
    if (textOf(before.file, name) === textOf(after.file, name)) continue
    if (Object.hasOwn(after.process, name)) changes.covered.push(name)
    else if (needsRestart(setting)) changes.restart.push(name)
    else {
      changes.live.push(name)
      const isLifted = setting.protects && textOf(after.file, name) === undefined
      if (isLifted) changes.lifted.push({ name, instead: setting.none ?? setting.default! })
    }
  }
  return changes
}

/** Returns the later file, but the settings that need a restart as they were. */
export function withoutRestart(
  before: Environment,
  after: Environment,
  restart: string[],
): Environment {
  return { ...after, ...Object.fromEntries(restart.map((name) => [name, before[name]])) }
}
