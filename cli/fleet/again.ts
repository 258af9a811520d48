import { PROGRAM } from '../command.ts'
import { shellWord } from '../terminal/shell.ts'

const FLAGS = ['platform', 'tenant', 'schema', 'uuid', 'label', 'url', 'skip', 'on-error'] as const

/** Returns the command that does what is left: as it was typed, without what one run alone needed. */
export function commandAgain(words: string[], args: Record<string, unknown>): string {
  const all = [PROGRAM, ...words]
  for (const flag of FLAGS) {
    if (typeof args[flag] === 'string') all.push(`--${flag}`, args[flag])
  }
  if (args.all) all.push('--all')
  return all.map(shellWord).join(' ')
}
