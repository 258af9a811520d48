import { fromPostgres } from '../errors.ts'
import { isBroken, isWorthAnotherConnection, untilAnother } from '../hosts/again.ts'
import type { Sql } from './connection.ts'
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

async function once<T>(
  pools: Pools,
  database: string,
  work: (sql: Sql) => Promise<T>,
  options: LeaseOptions,
): Promise<T> {
  const lease = await pools.lease(database, options)
  const endSilence = cutWhenSilent(lease.connection)
  try {
    const result = await work(lease.sql)
    lease.release()
    return result
  } catch (error) {
    lease.release(error)
    throw error
  } finally {
    endSilence()
  }
}
