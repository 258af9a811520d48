import type { Sql } from '../../postgres/pools/connection.ts'
import type { Owner } from '../../tenancy/names.ts'
import type { DeployParts } from '../parts.ts'

/** The servers of a move. */
export interface MoveServers {
  /** The parts for the two servers, and for `main`, whose catalog has the moves and the placements. */
  source: DeployParts
  target: DeployParts
  main: DeployParts
  /** Names of the two servers. */
  from: string
  to: string
  placements: {
    /** Writes where a database is, in the open transaction. */
    write(sql: Sql, owner: Owner, server: string): Promise<void>
    /** Reads it anew, for the calls of this gateway. */
    look(database: string): Promise<unknown>
  }
}

/** The servers of a move that is ended: its target may be away. */
export interface EndingServers extends Omit<MoveServers, 'target' | 'from'> {
  /** @throws {GatewayError} connection_failed if it has not answered yet */
  target(): DeployParts
}

/** Name of the lock that a gateway has while it moves a database. It is none that a database has. */
export function moveLock(database: string): string {
  return `_db_gateway_move ${database}`
}
