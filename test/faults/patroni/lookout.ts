import { setTimeout as sleep } from 'node:timers/promises'
import type { PatroniNode } from './node.ts'

const EVERY_MS = 30
const PATIENCE_MS = 90_000

/** The table whose rows tell that a node commits. */
export const BEATS = 'create table if not exists beats (at timestamptz not null default now())'

/**
 * Writes to the nodes directly until one commits.
 * @returns which, and `performance.now()` of its answer
 */
export async function firstToCommit(nodes: PatroniNode[]): Promise<[PatroniNode, number]> {
  let isOver = false
  const giveUpAt = performance.now() + PATIENCE_MS
  const tries = nodes.map(async (node): Promise<[PatroniNode, number]> => {
    while (!isOver && performance.now() < giveUpAt) {
      const at = await commitOn(node)
      if (at !== undefined) return [node, at]
      await sleep(EVERY_MS)
    }
    throw new Error(`${node.name} did not commit within ${PATIENCE_MS} ms`)
  })
  return Promise.any(tries).finally(() => {
    isOver = true
  })
}

async function commitOn(node: PatroniNode): Promise<number | undefined> {
  return node.query('insert into beats default values').then(
    () => performance.now(),
    () => undefined,
  )
}
