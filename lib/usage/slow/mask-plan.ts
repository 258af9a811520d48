import { valueMask } from '../../postgres/mask-values.ts'
import type { Plan } from '../../postgres/session/plans.ts'

/** Maximum length of the plans of one call. */
const MAX_LENGTH = 16_000

/** What looks like a value in a plan, and is none. */
const MEASURES = [
  // Estimates and measures of a node
  String.raw`\(cost=\d+\.\d+\.\.\d+\.\d+ rows=\d+ width=\d+\)`,
  String.raw`\(actual (?:time=\d+\.\d+\.\.\d+\.\d+ )?rows=[\d.]+ loops=\d+\)`,
  // Measures on a line of their own
  String.raw`^ *(?:Rows Removed by [\w ]+|Buffers|I/O Timings|WAL|Heap Fetches|Heap Blocks|Workers Planned|Workers Launched|Sort Method|Buckets): [^'"\n]*$`,
]

const maskPlan = valueMask({ comment: '', literal: "'?'", number: '?' }, MAX_LENGTH, MEASURES)

/** How a plan in auto_explain's format `text` begins; in the others a value has no clear end. */
const AS_TEXT = /^Query Text: (?!")/

/**
 * Returns the plans of a call as one text in which no value is left: neither those of parameters,
 * which the planner may have put into conditions, nor those in the text of a statement.
 * @returns null without plans in the format `text`
 */
export function maskPlans(plans: Plan[] | undefined): string | null {
  const texts = plans?.filter(({ text }) => AS_TEXT.test(text)) ?? []
  if (texts.length === 0) return null
  const masked = texts.map(({ ms, text }) => `Duration: ${ms} ms\n${maskPlan(text)}`)
  // JSON of PostgreSQL has no half of a surrogate pair.
  return masked.join('\n\n').slice(0, MAX_LENGTH).toWellFormed()
}
