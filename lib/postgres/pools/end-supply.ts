import { GatewayError } from '../../errors.ts'
import { stopStarving } from './give-back.ts'
import type { ConnectionSupply } from './supply.ts'

/** Closes the idle connections and cuts those in use; refuses those who wait. */
export async function endSupply(supply: ConnectionSupply): Promise<void> {
  supply.isEnded = true
  const connections = [...supply.pools.values()].flatMap((pool) => [...pool.connections])
  for (const pool of supply.pools.values()) {
    for (const waiter of pool.waiters) {
      waiter.reject(new GatewayError('connection_failed', 'The gateway is stopping'))
    }
    pool.waiters.clear()
  }
  const idle = connections.filter((connection) => supply.all.idle.has(connection))
  for (const connection of connections) if (!supply.all.idle.has(connection)) connection.destroy()
  await Promise.all(idle.map((connection) => connection.close()))
}

/** Removes a pool; closes its idle connections, and refuses those who wait. */
export async function endPool(supply: ConnectionSupply, database: string): Promise<void> {
  const pool = supply.pools.get(database)
  if (!pool) return
  supply.pools.delete(database)
  stopStarving(pool)
  pool.closing = true
  for (const waiter of pool.waiters) {
    pool.waiters.delete(waiter)
    waiter.reject(new GatewayError('database_not_found', `Database ${database} is gone`))
  }
  await Promise.all([...pool.idle].map((connection) => supply.retire(connection)))
}
