import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { EXIT, type ExitCode } from '../../cli/command.ts'
import type { Io } from '../../cli/io.ts'
import { runCli } from '../../cli/run.ts'
import { PROJECT } from './gateway.ts'

const WORDS = [
  process.execPath,
  '--import',
  pathToFileURL(join(PROJECT, 'scripts/typescript.mjs')).href,
  join(PROJECT, 'cli/main.ts'),
]

/** The command line as a program of its own, for a shell; it runs the code of the project. */
export const CLI_PROGRAM = WORDS.map((word) => `'${word}'`).join(' ')

/** How a test runs a command line. */
export interface CliOptions {
  /** The working folder. */
  folder?: string
  env?: Record<string, string>
  /** Width of the terminal that the output is; undefined: it is none. */
  columns?: number
  /** Standard input; 'terminal': it is one, on which nothing is typed. */
  input?: string | Readable
  /** Takes the bytes that the command line writes to standard output. */
  bytesOut?: Writable
  /** Called with everything written so far, whenever something is written. */
  onOutput?: (output: string) => void
}

/** What a command line did. */
export interface CliResult {
  code: ExitCode
  /** Standard output and standard error. */
  out: string
  err: string
}

/** A command line that runs in this process, against a real gateway. */
export interface RunningCli {
  /** As Ctrl-C does. */
  interrupt(): void
  /** As SIGTERM does. */
  terminate(): void
  ended: Promise<CliResult>
}

/** Runs a command line in this process. */
export async function cli(args: string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).ended
}

/** Starts a command line in this process. */
export function startCli(args: string[], options: CliOptions = {}): RunningCli {
  const { folder = '/nowhere', env = {}, columns, input = '', onOutput } = options
  const result = { out: '', err: '' }
  const listeners = { interrupt: new Set<() => void>(), terminate: new Set<() => void>() }
  const listen = (to: keyof typeof listeners) => (heard: () => void) => {
    listeners[to].add(heard)
    return () => listeners[to].delete(heard)
  }
  const tell = (to: keyof typeof listeners) => () => {
    for (const heard of listeners[to]) heard()
  }
  const write = (stream: 'out' | 'err') => (text: string) => {
    result[stream] += text
    onOutput?.(result.out + result.err)
  }
  const io: Io = {
    out: write('out'),
    err: write('err'),
    input: async () => (typeof input === 'string' ? input : textOf(input)),
    bytesIn: () => {
      if (input === 'terminal') return undefined
      return typeof input === 'string' ? Readable.from([input]) : input
    },
    bytesOut: () => options.bytesOut,
    env,
    folder,
    isTerminal: columns !== undefined,
    mayAsk: false,
    columns,
    hasColor: columns !== undefined,
    onInterrupt: listen('interrupt'),
    onTerminate: listen('terminate'),
  }
  return {
    interrupt: tell('interrupt'),
    terminate: tell('terminate'),
    ended: runCli(args, io).then((code) => ({ code, ...result })),
  }
}

/** Runs a command line that has to succeed, and returns its output without colour. */
export async function cliOutput(args: string[], options: CliOptions = {}): Promise<string> {
  const { code, out, err } = await cli(args, options)
  if (code !== EXIT.done) throw new Error(`exit code ${code}: ${err || out}`)
  return stripVTControlCharacters(out)
}
