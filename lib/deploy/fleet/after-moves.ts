import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../errors.ts'
import type { DeployParts } from '../parts.ts'
import { readMoves } from '../relocate/moves-table.ts'
import type { Target } from './targets.ts'

/** A database that is being moved to another server when it has its turn. */
export interface Moving {
  target: Target
  /** What is told of it if the move lasts for too long. */
  error: GatewayError
}

/**
 * Milliseconds for which a fleet that has deployed to all others waits for moves, DEPLOY_TIMEOUT_SECS at
 * most: a move by a dump takes seconds, one by replication may take hours.
 */
const WAIT_MS = 60_000

const LOOK_EVERY_MS = 500

/**
 * Deploys to databases that were being moved to another server, once their moves have ended, wherever they
 * are then.
 * @param parts those of `main`, which knows where databases are; of the only server that is deployed to
 *   otherwise
 * @param mayStart whether the fleet goes on; databases that are left otherwise are not started
 * @param deploy deploys to one of them; returns why it is still, or again, being moved
 * @param giveUp called with each whose move has lasted for too long, or whose server does not answer
 */
export async function afterMoves(
  parts: DeployParts,
  moving: Moving[],
  mayStart: () => boolean,
  deploy: (there: DeployParts, target: Target) => Promise<GatewayError | undefined>,
  giveUp: (one: Moving) => void,
): Promise<void> {
  const giveUpAt = performance.now() + Math.min(WAIT_MS, parts.config.deployTimeoutMs)
  let waiting = moving
  if (waiting.length > 0) {
    const databases = waiting.map(({ target }) => target.database)
    parts.log.info('A deploy waits for databases that are being moved', {
      databases: databases.join(', '),
    })
  }
  while (waiting.length > 0 && mayStart()) {
    if (performance.now() > giveUpAt) {
      waiting.forEach(giveUp)
      return
    }
    await sleep(LOOK_EVERY_MS)
    const ended = await endedOf(parts, waiting)
    const still = waiting.filter((one) => !ended.includes(one))
    for (const one of ended) {
      if (!mayStart()) return
      const { target } = one
      const there = await partsOf(parts, target)
      if (there instanceof GatewayError) {
        giveUp({ target, error: there })
        continue
      }
      const error = await deploy(there, target)
      if (error) still.push({ target, error })
    }
    waiting = still
  }
}

/**
 * Those whose moves have ended, or are being ended: what is left to do may need a server that is away.
 * None while `main` does not answer.
 */
async function endedOf({ platformCatalog }: DeployParts, waiting: Moving[]): Promise<Moving[]> {
  const moves = await platformCatalog.use(readMoves).catch(() => undefined)
  if (!moves) return []
  const copying = moves.filter(({ phase }) => phase === 'copying')
  const running = new Set(copying.map(({ database }) => database))
  return waiting.filter(({ target }) => !running.has(target.database))
}

/** Returns the parts for the server that a database is on, or why it does not answer. */
async function partsOf(
  parts: DeployParts,
  { platform, database }: Target,
): Promise<DeployParts | GatewayError> {
  for (const { name, parts: there, trouble, placed } of parts.serversOf(platform)) {
    const isThere = (await placed()).some((one) => one.database === database)
    if (!isThere) continue
    const message = `Server ${name} ${trouble ?? 'does not answer'}`
    return there ?? new GatewayError('connection_failed', message, { server: name })
  }
  return parts
}
