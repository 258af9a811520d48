import { PROGRAM } from '../command.ts'
import { shellPath, shellWord } from '../terminal/shell.ts'

const FLAGS = ['platform', 'tenant', 'schema', 'uuid', 'label', 'url', 'skip', 'on-error'] as const

/** Returns the command that does what is left: as it was typed, without what one run alone needed. */
export function commandAgain(words: string[], args: Record<string, unknown>): string {
  const all = [PROGRAM, ...words.map(shellPath)]
  for (const flag of FLAGS) {
    const value = args[flag]
    if (typeof value !== 'string') continue
    // A value that begins with a hyphen would be taken for a flag.
    if (value.startsWith('-')) all.push(shellWord(`--${flag}=${value}`))
    else all.push(`--${flag}`, shellWord(value))
  }
  if (args.all) all.push('--all')
  return all.join(' ')
}
