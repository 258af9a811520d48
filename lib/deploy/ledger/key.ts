import { createHash, createHmac } from 'node:crypto'

/**
 * Version of the ledger's functions. A ledger of another version is brought to this one by a
 * handover before the deploy.
 */
export const LEDGER_VERSION = 3

/**
 * Section of a row in _db_gateway_files that is not a file: the warnings that apply until the next
 * deploy.
 */
export const STANDING = 'standing'

/**
 * Returns the key of the ledger's write with this number. Each key is good for one write.
 * @param key secret of the database's ledger (`ledgerKeyOf`)
 */
export function keyOf(key: string, number: number): string {
  return createHmac('sha256', key).update(`write ${number}`).digest('base64url')
}

/** Returns what the database stores of the next key: its SHA-256 in hex. */
export function digestOf(key: string, number: number): string {
  return createHash('sha256').update(keyOf(key, number)).digest('hex')
}
