import { placeAt } from '../deploy/parser/place.ts'

/** What `lint` looks for. */
export const RULES = {
  syntax: 'error',
  refused: 'error',
  'made-twice': 'error',
  'data-loss': 'warning',
  'weaker-rule': 'warning',
  'long-lock': 'warning',
  'not-null': 'warning',
  order: 'warning',
  directive: 'warning',
  untested: 'warning',
} as const

export type Rule = keyof typeof RULES

/** Something in a file that a deploy would refuse (an error), or that a person should look at. */
export interface Finding {
  /** Path below the folder of the sections. */
  file: string
  /** From 1. */
  line: number
  /** The line of the file, if the finding is about one. */
  source?: string
  /** Blanks and `^`, to stand below the source. */
  caret?: string
  level: 'error' | 'warning'
  rule: Rule
  message: string
  /** What to write instead. */
  advice: string
}

/** A finding about a place in a text. */
export interface Found {
  rule: Rule
  /** Offset in the text, in UTF-16 units. */
  offset: number
  message: string
  advice: string
  /** Whether the offset is that of the token at fault. */
  isExact?: boolean
}

/** What a finding says, without its place. */
export type Said = Pick<Found, 'rule' | 'message' | 'advice'>

/** Converts a finding in a text to one with file and line. */
export function placed(
  { path, text }: { path: string; text: string },
  { rule, offset, message, advice, isExact = false }: Found,
): Finding {
  const { line, source, caret } = placeAt(text, offset)
  return {
    file: path,
    line,
    source,
    ...(isExact && { caret }),
    level: RULES[rule],
    rule,
    message,
    advice,
  }
}
