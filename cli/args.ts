import type { ArgDef, ArgsDef } from 'citty'
import { editDistance } from '../lib/common/edit-distance.ts'
import { UsageError } from './command.ts'

/**
 * Checks what was typed against the arguments of a command, and returns it as citty parses it in one
 * way only: each flag with its value, then `--`, then the arguments. A number below zero is an
 * argument.
 * @throws {UsageError} for an unknown flag, one without its value or with an empty one, one given
 *   twice, a flag in the place of a value, an empty argument of the command's own, and for more arguments
 *   than the command takes
 */
export function normalise(typed: string[], args: ArgsDef, takesMore = false): string[] {
  const flags: string[] = []
  const rest: string[] = []
  const given = new Set<string>()
  for (let i = 0; i < typed.length; i++) {
    const one = typed[i]!
    if (one === '--') {
      rest.push(...typed.slice(i + 1))
      break
    }
    if (!one.startsWith('-') || one === '-' || /^-\.?\d/.test(one)) {
      rest.push(one)
      continue
    }
    const [flag, value] = splitFlag(one)
    const [name, isOff] = find(flag, args)
    if (given.has(name)) throw new UsageError(`--${name} is given twice`)
    given.add(name)
    if (args[name]!.type === 'boolean') {
      if (value !== undefined) throw new UsageError(`--${name} takes no value`)
      flags.push(isOff ? `--no-${name}` : `--${name}`)
      continue
    }
    const text = value ?? typed[++i]
    if (text === undefined) throw new UsageError(`--${name} needs a value`)
    // An empty variable without quotes is no word: the next flag would be the value.
    if (value === undefined && isFlag(text, args)) {
      throw new UsageError(`--${name} needs a value (${text} would be one as --${name}=${text})`)
    }
    // An empty variable of a script would widen the command to other databases.
    if (text === '') throw new UsageError(`--${name} is empty`)
    flags.push(`--${name}=${text}`)
  }
  const own = Object.keys(args).filter((name) => isPositional(args[name]!))
  const most = own.length
  const empty = own.find((_, i) => rest[i] === '')
  // An empty variable in the place of a folder would deploy the working folder.
  if (empty) throw new UsageError(`The ${empty} is empty`)
  if (!takesMore && rest.length > most) {
    throw new UsageError(`Unexpected argument: ${rest[most]}`)
  }
  return [...flags, '--', ...rest]
}

export function isPositional({ type }: ArgDef): boolean {
  return type === 'positional'
}

function isFlag(text: string, args: ArgsDef): boolean {
  const isAlias = (arg: ArgDef) => 'alias' in arg && text === `-${arg.alias}`
  return text.startsWith('--') || Object.values(args).some(isAlias)
}

function splitFlag(text: string): [flag: string, value: string | undefined] {
  const at = text.startsWith('--') ? text.indexOf('=') : -1
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** Returns the name of a flag, and whether it is switched off (`--no-x`). */
function find(flag: string, args: ArgsDef): [name: string, isOff: boolean] {
  const flags = Object.entries(args).filter(([, arg]) => !isPositional(arg))
  for (const [name, arg] of flags) {
    if (flag === `--${name}`) return [name, false]
    if (flag === `--no-${name}` && arg.type === 'boolean') return [name, true]
    if ('alias' in arg && arg.alias && flag === `-${arg.alias}`) return [name, false]
  }
  const names = [...flags.map(([name]) => `--${name}`), '--help']
  throw new UsageError(`Unknown flag: ${flag}${suggestion(flag, names)}`)
}

/** Returns a question about the nearest of the names, or '' if none is near. */
export function suggestion(typed: string, names: string[]): string {
  const near = names
    .map((name) => ({ name, distance: editDistance(typed, name, 2) ?? Infinity }))
    .filter(({ distance }) => distance < Infinity)
    .sort((a, b) => a.distance - b.distance)[0]
  return near ? ` (is ${near.name} meant?)` : ''
}
