import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'

/** What a command has of the process that runs it. */
export interface Io {
  /** Writes to standard output: what was asked for. */
  out(text: string): void
  /** Writes to standard error: what went wrong, and notes. */
  err(text: string): void
  /** Reads standard input to its end. */
  input(): Promise<string>
  /** Standard input as bytes; undefined if it is a terminal. */
  bytesIn(): Readable | undefined
  /**
   * Standard output for bytes; undefined if it is a terminal. The process has failed if it ends before
   * the command.
   */
  bytesOut(): Writable | undefined
  env: Record<string, string | undefined>
  /** The working folder. */
  folder: string
  /** Whether standard output is a terminal. */
  isTerminal: boolean
  /** Whether a person can be asked: input and output are terminals. */
  mayAsk: boolean
  /** Width of the terminal in columns; undefined if the output is no terminal. */
  columns: number | undefined
  /** Whether the output may have colour. */
  hasColor: boolean
  /**
   * Calls `heard` for each SIGINT until the function that it returns is called. Without a listener a
   * SIGINT ends the process.
   */
  onInterrupt(heard: () => void): () => void
  /**
   * Calls `heard` when the process is to end (SIGTERM, a terminal that is closed, output that nobody
   * reads any more) until the function that it returns is called. Without a listener the process ends.
   */
  onTerminate(heard: () => void): () => void
}

const TERMINATE = ['SIGTERM', 'SIGHUP'] as const

/** Returns the input and output of this process. */
export function processIo(): Io {
  const { stdin, stdout, env } = process
  return {
    out: (text) => stdout.write(text),
    err: (text) => process.stderr.write(text),
    input: () => text(stdin),
    bytesIn: () => (stdin.isTTY ? undefined : stdin),
    bytesOut: () => {
      if (stdout.isTTY) return undefined
      process.exitCode = 1
      return stdout
    },
    env,
    folder: process.cwd(),
    isTerminal: stdout.isTTY === true,
    mayAsk: stdin.isTTY === true && stdout.isTTY === true,
    get columns() {
      return stdout.isTTY ? stdout.columns || undefined : undefined
    },
    hasColor: hasColor(env, stdout.isTTY === true),
    onInterrupt: (heard) => {
      process.on('SIGINT', heard)
      return () => process.off('SIGINT', heard)
    },
    onTerminate: (heard) => {
      for (const signal of TERMINATE) process.on(signal, heard)
      return () => {
        for (const signal of TERMINATE) process.off(signal, heard)
      }
    },
  }
}

/** NO_COLOR (no-color.org) and FORCE_COLOR decide; else only a terminal has colour. */
export function hasColor(env: Io['env'], isTerminal: boolean): boolean {
  if (env.NO_COLOR) return false
  if (env.FORCE_COLOR) return env.FORCE_COLOR !== '0'
  return isTerminal && env.TERM !== 'dumb'
}
