import { leadingBlank } from '../deploy/parser/place.ts'
import type { Rule } from './finding.ts'

const LINE = /^[ \t]*--[ \t]*lint[ \t]*:[ \t]*allow[ \t]+(.*)$/gim

/**
 * Returns whether a comment `-- lint: allow <rule>` is before the statement, or before the first one
 * of the file.
 * @param before the text between the statement before and this one
 */
export function isAllowed(rule: Rule, before: string, file: string): boolean {
  const head = file.slice(0, leadingBlank(file))
  return [before, head].some((comments) => allowedIn(comments).has(rule))
}

function allowedIn(comments: string): Set<string> {
  return new Set(
    [...comments.matchAll(LINE)].flatMap(([, words = '']) => words.trim().split(/[\s,]+/)),
  )
}
