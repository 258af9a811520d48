import { stripVTControlCharacters } from 'node:util'
import { type ArgsDef, type CommandDef, parseArgs, renderUsage } from 'citty'
import { ConfigError } from '../lib/config/setting.ts'
import packageJson from '../package.json' with { type: 'json' }
import { isPositional, normalise, suggestion } from './args.ts'
import {
  type Command,
  type Entry,
  EXIT,
  type ExitCode,
  Failure,
  PROGRAM,
  UsageError,
} from './command.ts'
import { COMMANDS } from './commands.ts'
import { failureBody } from './gateway/request-failed.ts'
import type { Io } from './io.ts'
import { describeFailure } from './terminal/failure.ts'
import { writeJson } from './terminal/show.ts'
import { printable, styles } from './terminal/style.ts'

/** The command line as one group of commands. */
const ROOT: Entry = {
  description: 'Deploy to, call and administer a Database Gateway',
  commands: COMMANDS,
}

/**
 * Runs a command line, and writes what it has to say.
 * @param typed the arguments behind the name of the program
 * @returns the exit code of the process
 */
export async function runCli(typed: string[], io: Io): Promise<ExitCode> {
  const { red } = styles(io.hasColor)
  const { path, entry, rest } = findCommand(typed)
  const name = [PROGRAM, ...path].join(' ')
  const isJson = rest.includes('--json')
  try {
    if (path.length === 0 && ['--version', '-v'].includes(rest[0] ?? '')) {
      io.out(`${packageJson.version}\n`)
      return EXIT.done
    }
    if (isHelp(rest)) {
      io.out(await usageOf(name, entry, io.hasColor))
      return EXIT.done
    }
    if ('commands' in entry) throw unknownCommand(rest, entry.commands)
    const command = (await entry.load()).default
    return (await command.run(parse(rest, command), io, COMMANDS)) ?? EXIT.done
  } catch (error) {
    if (isUsageError(error)) {
      io.err(`${red(printable(stripVTControlCharacters((error as Error).message)))}\n`)
      io.err(`See \`${name} --help\`\n`)
      return EXIT.usage
    }
    const body = failureBody(error)
    if (body) {
      if (isJson) writeJson(io, body)
      else io.err(`${describeFailure(body, styles(io.hasColor))}\n`)
      return EXIT.failed
    }
    const message = messageOf(error)
    if (isJson) writeJson(io, { error: 'failed', message })
    else io.err(`${red(printable(message))}\n`)
    return EXIT.failed
  }
}

/** Returns what to say of an error: its stack where it is a fault of the program. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  // A file or the disk: "ENOSPC: no space left on device, write".
  const isOfSystem = error instanceof Failure || error instanceof ConfigError || 'syscall' in error
  return isOfSystem ? error.message : (error.stack ?? error.message)
}

/** Follows the names of commands from the beginning of what was typed. */
function findCommand(typed: string[]): { path: string[]; entry: Entry; rest: string[] } {
  let entry: Entry = ROOT
  const path: string[] = []
  for (const word of typed) {
    if (!('commands' in entry) || !Object.hasOwn(entry.commands, word)) break
    entry = entry.commands[word]!
    path.push(word)
  }
  return { path, entry, rest: typed.slice(path.length) }
}

function parse(typed: string[], { args, takesMore }: Command): Record<string, unknown> {
  const parsed = parseArgs(normalise(typed, args, takesMore), args)
  const own = Object.values(args).filter(isPositional).length
  return Object.fromEntries([
    ...Object.keys(args).map((name) => [name, parsed[name]]),
    ['_', parsed._.slice(own)],
  ])
}

/** What is typed behind `--` is no flag. */
function isHelp(rest: string[]): boolean {
  const end = rest.indexOf('--')
  const flags = end < 0 ? rest : rest.slice(0, end)
  return flags.includes('--help') || flags.includes('-h')
}

function unknownCommand([word]: string[], commands: Record<string, Entry>): UsageError {
  if (word?.startsWith('-')) {
    const flag = word.replace(/=.*/s, '')
    return new UsageError(
      `A command comes first, and ${flag} behind it: ${PROGRAM} <command> ${flag} …`,
    )
  }
  if (word === undefined) {
    return new UsageError(`A command is missing: ${Object.keys(commands).join(', ')}`)
  }
  return new UsageError(`Unknown command: ${word}${suggestion(word, Object.keys(commands))}`)
}

function isUsageError(error: unknown): boolean {
  return error instanceof UsageError || (error instanceof Error && error.name === 'CLIError')
}

async function usageOf(name: string, entry: Entry, hasColor: boolean): Promise<string> {
  const isGroup = 'commands' in entry
  const command = isGroup ? undefined : (await entry.load()).default
  const args: ArgsDef = command?.args ?? {}
  const commands = isGroup ? Object.entries(entry.commands) : []
  const usage = await renderUsage({
    meta: { name, description: entry.description },
    args,
    ...(isGroup && {
      subCommands: Object.fromEntries(
        commands.map(([word, { description }]): [string, CommandDef] => [
          word,
          { meta: { description } },
        ]),
      ),
    }),
  })
  // citty does not know of arguments behind those that have names.
  const whole = command?.takesMore ? usage.replace(/USAGE.*/, '$& [...]') : usage
  const lines = whole.split('\n').map((line) => line.trimEnd())
  const text = `${lines.join('\n').trimEnd()}\n`
  return hasColor ? text : stripVTControlCharacters(text)
}
