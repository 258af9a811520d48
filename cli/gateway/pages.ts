import type { Line } from '../fleet/state.ts'
import { type Request, send } from './client.ts'
import type { Target } from './target.ts'

const PAGE = 1000

/**
 * Returns all entries of a list that comes in pages.
 * @param member of the answer that holds the entries
 */
export async function allPages(
  target: Target,
  path: string,
  query: Request['query'],
  member: string,
): Promise<Line[]> {
  const entries: Line[] = []
  for await (const page of pages(target, path, query, member)) entries.push(...page)
  return entries
}

/**
 * Returns the first entry of such a list for which `isMeant` holds; undefined if there is none.
 * @param member as of `allPages`
 */
export async function findInPages(
  target: Target,
  path: string,
  query: Request['query'],
  member: string,
  isMeant: (entry: Line) => boolean,
): Promise<Line | undefined> {
  for await (const page of pages(target, path, query, member)) {
    const found = page.find(isMeant)
    if (found) return found
  }
  return undefined
}

async function* pages(
  target: Target,
  path: string,
  query: Request['query'],
  member: string,
): AsyncGenerator<Line[]> {
  let after: string | undefined
  do {
    const answer = (await send(target, path, { query: { ...query, limit: PAGE, after } })).json()
    yield answer[member]
    after = answer.next_after ?? undefined
  } while (after !== undefined)
}
