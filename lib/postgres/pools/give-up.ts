import { setTimeout as sleep } from 'node:timers/promises'
import { withinMs } from '../../common/within.ts'
import { GatewayError } from '../../errors.ts'
import { isConnectionLost } from '../errors.ts'
import type { ConnectionSupply } from './supply.ts'

const TIMED_OUT = 'ETIMEDOUT'

/** How often it is looked whether anything has come from PostgreSQL. */
const LOOK_EVERY_MS = 200

/** Looks without a byte, while somebody waits, before PostgreSQL is asked; and before it is given up: 1.8 s. */
const QUIET_LOOKS = 2
const SILENT_LOOKS = 9

/** How long PostgreSQL has to answer once it is asked. */
const ASKED_MS = (SILENT_LOOKS - QUIET_LOOKS) * LOOK_EVERY_MS

/** Pause after a refusal, as of a server that starts. */
const PAUSE_MS = 300

/** Resolves when PostgreSQL has answered a query that is sent now; rejects with what was wrong. */
export type Ask = (withinMs: number) => Promise<unknown>

/**
 * Gives PostgreSQL up when it has sent nothing for 1.8 s though somebody waits for it and it was asked: cuts
 * the connections, whose work fails, and refuses those that want one until it answers again. Without
 * this, they wait until a statement, or opening a connection, may take no longer.
 * @returns function that ends this
 */
export function giveUpWhenSilent(supply: ConnectionSupply, ask: Ask): () => void {
  let quietLooks = 0
  let isAsking = false
  let before = seenOf(supply)
  const askOnce = async () => {
    if (isAsking) return
    isAsking = true
    const answer = ask(ASKED_MS).then(() => true)
    const isAnswered = await withinMs(ASKED_MS, answer).catch(async (error) => {
      await sleep(PAUSE_MS)
      return isAnswer(error) || (!supply.refusal && isUnasked(error))
    })
    isAsking = false
    if (!isAnswered) return
    quietLooks = 0
    supply.refusal = undefined
  }
  // Looks are counted, not time: a busy event loop reads late what has come long before.
  const timer = setInterval(() => {
    const now = seenOf(supply)
    // Both fall when a connection is closed, or lost.
    const isQuiet = now.bytes <= before.bytes && now.answerAt <= before.answerAt
    before = now
    if (supply.refusal) return void askOnce()
    quietLooks = isQuiet && isWaitedFor(supply) ? quietLooks + 1 : 0
    if (quietLooks < QUIET_LOOKS) return
    if (quietLooks < SILENT_LOOKS) return void askOnce()
    quietLooks = 0
    giveUp(supply)
  }, LOOK_EVERY_MS).unref()
  return () => clearInterval(timer)
}

/** Whether the server, or its machine, has refused a connection: those that want one are told so by it. */
function isAnswer(error: unknown): boolean {
  const last = lastOf(error)
  return isConnectionLost(last) && !(last instanceof GatewayError) && last.code !== TIMED_OUT
}

/**
 * Whether the server was not asked, since all connections are in use and none of them listens: their work may
 * be long.
 */
function isUnasked(error: unknown): boolean {
  const last = lastOf(error)
  return last instanceof GatewayError && last.code === 'pool_exhausted'
}

function lastOf(error: unknown): NodeJS.ErrnoException {
  return (error instanceof AggregateError ? error.errors.at(-1) : error) as NodeJS.ErrnoException
}

/** What grows when PostgreSQL has sent something. */
function seenOf(supply: ConnectionSupply): { answerAt: number; bytes: number } {
  let bytes = 0
  for (const { bytesRead } of supply.connections()) bytes += bytesRead
  return { answerAt: supply.lastAnswerAt, bytes }
}

function isWaitedFor({ pools }: ConnectionSupply): boolean {
  for (const { connections, idle, waiters } of pools.values()) {
    if (waiters.size > 0 || connections.size > idle.length) return true
  }
  return false
}

function giveUp(supply: ConnectionSupply): void {
  supply.refusal = refused
  for (const pool of [...supply.pools.values()]) {
    for (const waiter of pool.waiters) waiter.reject(refused())
    pool.waiters.clear()
    for (const connection of [...pool.connections]) connection.destroy(silent())
    supply.settle(pool)
  }
}

function refused(): GatewayError {
  return new GatewayError('connection_failed', 'PostgreSQL does not answer', { cause: TIMED_OUT })
}

function silent(): Error {
  return Object.assign(new Error('PostgreSQL sends nothing'), { code: TIMED_OUT })
}
