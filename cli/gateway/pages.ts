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
  let after: string | undefined
  do {
    const answer = (await send(target, path, { query: { ...query, limit: PAGE, after } })).json()
    entries.push(...answer[member])
    after = answer.next_after ?? undefined
  } while (after !== undefined)
  return entries
}
