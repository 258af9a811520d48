import { Failure, UsageError } from '../command.ts'
import type { Io } from '../io.ts'
import { printable } from './style.ts'

/**
 * Asks a person for a text.
 * @param check returns what is wrong with the text
 * @throws {Failure} if the person cancels
 */
export async function askText(
  message: string,
  initial: string,
  check: (value: string) => string | undefined,
): Promise<string> {
  const { text } = await import('@clack/prompts')
  const answer = await text({
    message: printable(message),
    initialValue: initial,
    validate: (value) => check(value ?? ''),
  })
  if (typeof answer !== 'string') throw new Failure('Cancelled')
  return answer
}

/**
 * Asks a person for a yes; returns false for a no.
 * @throws {Failure} if the person cancels
 */
async function askYes(message: string): Promise<boolean> {
  const { confirm } = await import('@clack/prompts')
  const answer = await confirm({ message: printable(message), initialValue: false })
  if (typeof answer !== 'boolean') throw new Failure('Cancelled')
  return answer
}

/**
 * Has a person agree to something, unless --yes was given.
 * @throws {Failure} for a no
 * @throws {UsageError} if nobody can be asked; it says why a person has to be
 */
export async function agree(
  question: string,
  why: string,
  { yes, json }: { yes?: boolean | undefined; json?: boolean | undefined },
  io: Io,
): Promise<void> {
  if (yes) return
  if (!io.mayAsk || json) throw new UsageError(`${why}Give --yes: nobody can be asked here`)
  if (!(await askYes(question))) throw new Failure('Nothing is changed')
}
