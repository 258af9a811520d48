import { randomUUID } from 'node:crypto'

/**
 * Setting of a transaction that writes the catalog's record of a deploy: which gateway does. The
 * catalog's notification has it as `by`.
 */
export const RECORDED_BY = 'db_gateway.recorded_by'

const gateways = new WeakMap<object, string>()

/** Returns what a gateway writes for `RECORDED_BY`. `catalog`: the one object of the gateway. */
export function recorderOf(catalog: object): string {
  const known = gateways.get(catalog) ?? randomUUID()
  gateways.set(catalog, known)
  return known
}
