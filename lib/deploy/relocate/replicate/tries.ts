import { setTimeout as sleep } from 'node:timers/promises'
import { GatewayError } from '../../../errors.ts'
import type { Sql } from '../../../postgres/pools/connection.ts'
import { patienceMs } from '../../move/patience.ts'
import { hasLongTransaction, InUse } from '../../move/sessions.ts'
import type { DeployParts } from '../../parts.ts'
import type { MoveRequest } from '../request.ts'

/**
 * Milliseconds of a try in which running calls end, and the copy catches up. With what a cutover takes
 * beside that, calls wait for less than 2 s.
 */
const TRY_MS = 1200

/** Share of the time that calls may wait in which running calls end. */
const SHARE = 0.4

/** Milliseconds for which calls go on after the first try; each time after that is twice as long. */
const FIRST_PAUSE_MS = 1000

const LONGEST_PAUSE_MS = 15_000

/** A transaction that has lasted for so long, in milliseconds, may outlast a try. */
const LONG_MS = 400

const LOOK_EVERY_MS = 200

/** Returns the milliseconds that running calls get to end in one try. */
export function tryMs(source: DeployParts, { isHeld, maxWaitMs }: MoveRequest): number {
  const mostMs = patienceMs(source, isHeld)
  return isHeld ? mostMs : Math.min(TRY_MS, SHARE * maxWaitMs, mostMs)
}

/**
 * Runs `work` until it finds the source without running calls. Between two tries calls go on.
 * @param again does before another try what the last one has undone
 * @throws {GatewayError} tenant_busy after the last try; the errors of `work` and `again`; the signal's reason
 */
export async function tryUntilQuiet(
  admin: Sql,
  database: string,
  { isHeld, tries, onStep }: MoveRequest,
  signal: AbortSignal,
  work: () => Promise<void>,
  again: () => Promise<void>,
): Promise<void> {
  const most = isHeld ? 1 : tries
  for (let number = 1; ; number++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof InUse)) throw error
      if (number >= most) throw lastTry(error, number)
    }
    onStep('waiting', { tries: number })
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (number - 1), LONGEST_PAUSE_MS)
    await pause(admin, database, pauseMs, signal)
    await again()
  }
}

/** Waits, and not for longer than calls need: at least the first pause, in which those that waited run. */
async function pause(
  admin: Sql,
  database: string,
  mostMs: number,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now()
  const spent = () => performance.now() - began
  while (spent() < mostMs) {
    signal.throwIfAborted()
    if (spent() >= FIRST_PAUSE_MS && !(await hasLongTransaction(admin, database, LONG_MS))) return
    await sleep(LOOK_EVERY_MS)
  }
}

function lastTry(error: InUse, tries: number): GatewayError {
  if (tries === 1) return error
  return new GatewayError(error.code, error.message, { ...error.details, tries })
}
