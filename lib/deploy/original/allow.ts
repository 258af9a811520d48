import { GatewayError } from '../../errors.ts'
import type { TableChange } from '../changes/changes.ts'

type Change = TableChange['change']

/**
 * The losses that clients of the original gateway can allow, and the changes that each one permits.
 * `add_not_null_column` and `set_not_null` are empty: those changes lose nothing and are never
 * refused.
 */
const LOSSES = {
  drop_table: ['table_dropped', 'materialized_view_dropped'],
  drop_column: ['column_dropped', 'attribute_dropped'],
  modify_column_type: ['type_changed'],
  add_not_null_column: [],
  set_not_null: [],
} as const satisfies Record<string, Change[]>

/** The words that `allow` accepts in /v2/*. */
export const LOSS_WORDS = Object.keys(LOSSES) as (keyof typeof LOSSES)[]

/**
 * Returns the changes that the words of `allow` permit.
 * @throws {GatewayError} invalid_request naming the first unknown word
 */
export function parseLosses(words: string[]): Set<Change> {
  return new Set(
    words.flatMap((word): readonly Change[] => {
      if (Object.hasOwn(LOSSES, word)) return LOSSES[word as keyof typeof LOSSES]
      throw new GatewayError(
        'invalid_request',
        `allow takes ${LOSS_WORDS.join(', ')}; got ${JSON.stringify(word.slice(0, 80))}`,
      )
    }),
  )
}

/** A form field of /register and /migrate in the text of a hint. */
const FORM_FIELD = /\b(retry|repair)=true\b/g

/** The part of a hint that says which statements of a no-transaction migration have run. */
const STATEMENTS_DONE = /^\d+ of its \d+ statements have run.* taken as applied\. /s

/**
 * Returns the error for clients of /v2/*: its hint names JSON members instead of form fields, and
 * the words of `allow` in /v2/*.
 */
export function withV2Hint(error: GatewayError): GatewayError {
  const { code, message, details, status } = error
  if (details.hint === undefined) return error
  const said = asMembers(details.hint)
  const hint =
    code === 'data_loss'
      ? `${STATEMENTS_DONE.exec(said)?.[0] ?? ''}${hintOfLoss(details.losses)}`
      : said
  return hint === details.hint
    ? error
    : new GatewayError(code, message, { ...details, hint }, status)
}

function asMembers(hint: string): string {
  return hint.replace(FORM_FIELD, '"$1": true')
}

function hintOfLoss(losses: unknown): string {
  const changes = ((losses ?? []) as { change: Change }[]).map(({ change }) => change)
  const words = LOSS_WORDS.filter((word) =>
    changes.some((change) => (LOSSES[word] as readonly Change[]).includes(change)),
  )
  const isAll = changes.every((change) =>
    words.some((word) => (LOSSES[word] as readonly Change[]).includes(change)),
  )
  return isAll && words.length > 0
    ? `Send "allow": ${JSON.stringify(words)}; "force": true allows all losses`
    : 'Send "force": true, which allows all losses'
}
