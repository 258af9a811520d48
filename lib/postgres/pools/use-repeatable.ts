import { fromPostgres } from '../errors.ts'
import { isBroken, isWorthAnotherConnection, untilAnother } from '../hosts/again.ts'
import type { Sql } from './connection.ts'
import type { Lease } from './lease.ts'
import type { LeaseOptions, Pools } from './pools.ts'
import { cutWhenSilent } from './silence.ts'

/**
 * Runs repeatable work in a database; runs it once more if its connection is lost or refused, but
 * not after a timeout.
 * @throws {GatewayError} pool_exhausted, query_timeout; as `fromPostgres`
 */
export async function useRepeatable<T>(
  pools: Pools,
  database: string,
  work: (sql: Sql) => Promise<T>,
  options: LeaseOptions = {},
): Promise<T> {
  try {
    return await once(pools, database, work, options)
  } catch (error) {
    if (!isWorthAnotherConnection(error)) throw fromPostgres(error, database)
    await untilAnother(error)
    const fresh = isBroken(error)
    return once(pools, database, work, { ...options, fresh }).catch((again) => {
      throw fromPostgres(again, database)
    })
  }
}

function once<T>(
  pools: Pools,
  database: string,
  work: (sql: Sql) => Promise<T>,
  options: LeaseOptions,
): Promise<T> {
  const cutting = async ({ connection, sql }: Lease) => {
    const endSilence = cutWhenSilent(connection)
    try {
      return await work(sql)
    } finally {
      endSilence()
    }
  }
  return pools.useLease(database, cutting, options)
}
