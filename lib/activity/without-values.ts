import { valueMask } from '../postgres/mask-values.ts'

const mask = valueMask({ comment: ' ', literal: '?', number: '?' }, Number.POSITIVE_INFINITY)

/**
 * Returns the text of a statement on one line, with `?` in the place of each literal, and without
 * comments, which may have values too.
 */
export function withoutValues(query: string): string {
  return mask(query).replaceAll(/\s+/g, ' ').trim()
}
