import type { Log } from '../../log.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import { databaseLock } from '../../tenancy/database-lock.ts'
import type { DeployParts } from '../parts.ts'
import { type MoveRow, prepareMoves, readMove, readMoves } from './moves-table.ts'
import { type MovingServers, serversOfEnd } from './route.ts'
import { moveLock } from './servers.ts'
import { endMove } from './tidy.ts'

const LOOK_EVERY_MS = 1000

/** The parts for `main` that moves need. */
type Main = Pick<DeployParts, 'pools' | 'catalog' | 'server'>

/**
 * The moves of tenants between servers, of all gateways. Every second each gateway ends those whose gateway
 * is gone: it undoes them, or finishes those that are past their cutover.
 */
export class Moves {
  readonly #main: Main
  readonly #log: Log
  readonly #servers: MovingServers
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  /** Why the end of a move has failed at last; the log tells it once. */
  readonly #failed = new Map<string, string>()

  constructor(main: Main, log: Log, servers: MovingServers) {
    this.#main = main
    this.#log = log
    this.#servers = servers
  }

  /** Creates the table of moves. */
  async prepare(): Promise<void> {
    await this.#main.catalog.use(prepareMoves)
  }

  start(): void {
    if (!this.#servers.areSeveral) return
    this.#timer = setInterval(() => void this.run(), LOOK_EVERY_MS).unref()
    void this.run()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** The moves that run or are to be ended. */
  list(): Promise<MoveRow[]> {
    return this.#main.catalog.use(readMoves)
  }

  /** Ends what killed gateways have left. Never rejects. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    const log = this.#log
    const moves = await this.list().catch(() => [])
    for (const move of moves) {
      try {
        await this.#end(move)
        this.#failed.delete(move.id)
      } catch (error) {
        const { database } = move
        const cause = (error as Error).message
        const fields = { database, cause }
        const text = `The move of ${database}, which a gateway has left, cannot be ended yet`
        if (this.#failed.get(move.id) === cause) log.debug(text, fields)
        else log.warn(text, fields)
        this.#failed.set(move.id, cause)
      }
    }
  }

  /** Ends a move if no gateway works on it. */
  async #end({ id, database }: MoveRow): Promise<void> {
    const { pools, server } = this.#main
    const lease = await pools.lease(server.database)
    try {
      if (!(await tryLock(lease.sql, database))) return
      const move = await readMove(lease.sql, database)
      if (move?.id !== id) return
      const servers = serversOfEnd(this.#servers, move.from, move.to)
      const isMoved = await endMove(servers, { ...move, owner: move })
      const what = isMoved ? `finished: it is on the server ${move.to}` : 'undone'
      this.#log.warn(`The move of ${database}, which a gateway has left, was ${what}`, { database })
    } finally {
      await lease.discard()
    }
  }
}

async function tryLock(sql: Sql, database: string): Promise<boolean> {
  const [lock] = await sql<{ is_free: boolean }[]>`
    select pg_try_advisory_lock(${databaseLock(sql, moveLock(database))}) as is_free
  `
  return lock!.is_free
}
