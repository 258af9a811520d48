import { GATEWAY_ARGS, JSON_ARG, UsageError } from '../../command.ts'
import { send } from '../../gateway/client.ts'
import { platformOf, readTarget } from '../../gateway/target.ts'
import type { Io } from '../../io.ts'
import { showDone } from '../../terminal/show.ts'

/** The arguments of a command about one tenant. */
export const ONE_TENANT = {
  id: { type: 'positional', required: true, description: 'the tenant' },
  ...GATEWAY_ARGS,
  ...JSON_ARG,
} as const

/**
 * Sends a request about a tenant, and shows the answer: as JSON, or the sentence that `describe`
 * makes of it.
 */
export async function changeTenant(
  args: { id: string; json?: boolean | undefined } & Record<string, unknown>,
  io: Io,
  path: string,
  members: Record<string, unknown>,
  // biome-ignore lint/suspicious/noExplicitAny: the shapes of answers are those of the HTTP contract
  describe: (answer: any) => string,
): Promise<void> {
  const target = readTarget(args, io)
  const body = JSON.stringify({ platform: platformOf(target), tenant_id: args.id, ...members })
  const answer = await send(target, path, { body })
  if (args.json) io.out(`${answer.text}\n`)
  else showDone(io, describe(answer.json()))
}

/**
 * Reads labels as they are typed: `plan:pro`, and `plan:` to take one away.
 * @throws {UsageError} for a word without a colon
 */
export function readLabels(words: string[]): Record<string, string | null> {
  return Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf(':')
      if (at > 0) return [word.slice(0, at), word.slice(at + 1) || null]
      throw new UsageError(`A label is key:value, or key: to take it away; got "${word}"`)
    }),
  )
}
