import { GatewayError } from '../../errors.ts'
import type { TableChange } from '../changes/changes.ts'

type Change = TableChange['change']

/**
 * The losses that the original gateway's clients can allow, and what they are here. A column that is
 * or becomes NOT NULL loses nothing, so that it is never refused.
 */
const LOSSES = {
  drop_table: ['table_dropped', 'materialized_view_dropped'],
  drop_column: ['column_dropped', 'attribute_dropped'],
  modify_column_type: ['type_changed'],
  add_not_null_column: [],
  set_not_null: [],
} as const satisfies Record<string, Change[]>

/** The words that `allow` takes in /v2/*. */
export const LOSS_WORDS = Object.keys(LOSSES) as (keyof typeof LOSSES)[]

/**
 * The losses that these words allow.
 * @throws {GatewayError} invalid_request naming a word that is none
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

/** A field of the forms of /register and /migrate, as their hints name it. */
const FORM_FIELD = /\b(retry|repair)=true\b/g

/** The part of a hint that tells what of a migration outside of a transaction has run. */
const STATEMENTS_DONE = /^\d+ of its \d+ statements have run.* taken as applied\. /s

/**
 * The error as it is told to clients of /v2/*: its hint names members of JSON, and those that allow a
 * loss there.
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
