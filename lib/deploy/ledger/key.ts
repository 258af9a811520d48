import { createHash, createHmac } from 'node:crypto'

/** Of the functions of the ledger; another version has others. */
export const LEDGER_VERSION = 3

/** The section of a row of files that is no file: warnings that hold until the next deploy. */
export const STANDING = 'standing'

/** The key of a ledger's write with this number. Each is good for one write. */
export function keyOf(key: string, number: number): string {
  return createHmac('sha256', key).update(`write ${number}`).digest('base64url')
}

/** What the database has of a key that is still good: SHA-256, in hex. */
export function digestOf(key: string, number: number): string {
  return createHash('sha256').update(keyOf(key, number)).digest('hex')
}
