import { GATEWAY_ARGS, JSON_ARG, SCHEMA_ARGS, UsageError } from '../../command.ts'
import type { Line } from '../../fleet/state.ts'
import { send } from '../../gateway/client.ts'
import { type DatabaseArgs, type DatabaseMembers, schemaMembers } from '../../gateway/database.ts'
import { platformOf, readTarget } from '../../gateway/target.ts'
import type { Io } from '../../io.ts'
import { busy } from '../../terminal/busy.ts'
import { showDone, writeText } from '../../terminal/show.ts'

/** The arguments of a command about one tenant: its id, or --schema and --uuid. */
export const ONE_TENANT = {
  id: { type: 'positional', required: false, description: 'the tenant' },
  ...SCHEMA_ARGS,
  ...GATEWAY_ARGS,
  ...JSON_ARG,
} as const

type ShownArgs = { json?: boolean | undefined } & Record<string, unknown>

/** What was typed to name one tenant. */
export type TenantArgs = Pick<DatabaseArgs, 'schema' | 'uuid'> & { id?: string | undefined }

/**
 * Returns the members of a request that name the one tenant of a command.
 * @throws {UsageError} if none is named, or a tenant both by its id and by its schema
 */
export function namedTenant({ id, schema, uuid }: TenantArgs): DatabaseMembers {
  const named = schemaMembers({ schema, uuid })
  if (named && id !== undefined) {
    throw new UsageError(`${id} and --schema are both given: a tenant is named by one of them`)
  }
  if (named && uuid === undefined) throw new UsageError('--schema needs --uuid: which tenant?')
  if (named) return named
  if (id === undefined) throw new UsageError('Which tenant? Give its id, or --schema and --uuid')
  return { tenant_id: id }
}

/** A request that changes something, and what a person reads of it. */
export interface Change {
  path: string
  /** Members of the request. */
  members: Record<string, unknown>
  /** Makes a sentence of the answer. */
  describe(answer: Line): string
  /** What a terminal shows meanwhile, if it may take long. */
  doing?: string
}

/** Sends a request about a tenant, and shows the answer: as JSON, or as a sentence. */
export async function changeTenant(
  args: TenantArgs & ShownArgs,
  io: Io,
  change: Change,
): Promise<void> {
  const members = { ...namedTenant(args), ...change.members }
  await changeDatabase(args, io, { ...change, members })
}

/** As `changeTenant`, of the database that the members name. */
export async function changeDatabase(
  args: ShownArgs,
  io: Io,
  { path, members, describe, doing }: Change,
): Promise<void> {
  const target = readTarget(args, io)
  const body = JSON.stringify({ platform: platformOf(target), ...members })
  const shown = args.json || doing === undefined ? undefined : io
  const answer = await busy(doing ?? '', shown, () => send(target, path, { body }))
  if (args.json) writeText(io, `${answer.text}\n`)
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

/** The argument of a command that makes a tenant. */
export const LABEL_ARG = {
  label: { type: 'string', description: 'labels, with commas between', valueHint: 'key:value' },
} as const

/**
 * Reads the labels of a new tenant.
 * @throws as `readLabels`
 */
export function readNewLabels(list: string | undefined): Record<string, string | null> {
  return readLabels(list?.split(',') ?? [])
}

/** What is no number goes as it is, so that the gateway says what it takes. */
export function numberOf(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text
}

/** The arguments of a command that gives a tenant, or a copy of it, another name. */
export const MOVE_ARGS = {
  to: {
    type: 'string',
    description: 'the new id; for a tenant of a schema the new uuid',
    valueHint: 'id',
  },
  hold: {
    type: 'boolean',
    description: 'answer calls with 503 meanwhile, however long it takes; else they wait',
  },
} as const

/**
 * Returns the new name of a tenant.
 * @throws {UsageError} if it is missing
 */
export function readTo({ to }: { to?: string | undefined }): string {
  if (to !== undefined) return to
  throw new UsageError('--to is missing: the new id')
}
