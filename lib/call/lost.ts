import { GatewayError } from '../errors.ts'
import { isBroken, isWorthAnotherConnection, untilAnother } from '../postgres/again.ts'
import { fromPostgres } from '../postgres/errors.ts'
import type { Client } from '../postgres/pools.ts'
import type { Watch } from './watch.ts'

/** A call whose connection was lost, or could not be opened, before its answer came. */
export class LostCall extends Error {
  /** It may be made again: it has certainly not begun, or it changes nothing. */
  readonly mayRunAgain: boolean
  /** The connection had been open: another that was idle beside it is not to be trusted. */
  readonly wasOpen: boolean
  /** What the caller is told when it is not made again. */
  readonly told: GatewayError

  constructor(error: unknown, told: GatewayError, { mayHaveRun, isReadOnly, isOver }: Watch) {
    super('The connection was lost', { cause: error })
    const isSafe = !mayHaveRun || isReadOnly
    this.mayRunAgain = isSafe && !isOver && isWorthAnotherConnection(error)
    this.wasOpen = isBroken(error)
    const what = mayHaveRun ? 'the function may have run' : 'the function has not run'
    this.told = new GatewayError(told.code, `${told.message}; ${what}`, {
      ...told.details,
      may_have_run: mayHaveRun,
    })
  }
}

/**
 * What becomes of the error of a call in `database`: a LostCall where its connection was lost, and
 * otherwise what the caller is told.
 */
export function failed(error: unknown, database: string, watch: Watch): unknown {
  const told = fromPostgres(watch.explain(error), database)
  const isLost = told instanceof GatewayError && told.code === 'connection_failed'
  return isLost ? new LostCall(error, told, watch) : told
}

/**
 * Waits until the call may be made again.
 * @throws {GatewayError} what the first time gave, when the client has gone away meanwhile
 */
export async function untilAgain(lost: LostCall, client: Client): Promise<void> {
  await untilAnother(lost.cause)
  if (client.isGone) throw lost.told
}
