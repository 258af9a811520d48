import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT } from './gateway.ts'

/**
 * Certificates that are valid until 2120, of two authorities: `authority` signed server, renewed
 * (both of 127.0.0.1 and localhost) and client, `other-authority` signed stranger. Their common
 * names are the names of their files. `expired` was valid until 2021.
 */
const FOLDER = join(PROJECT, 'test/fixtures/tls')

export function tlsPath(name: string): string {
  return join(FOLDER, name)
}

/** A file of the certificates, in PEM. */
export function tlsFile(name: string): string {
  return readFileSync(tlsPath(name), 'utf8')
}

/** What a client needs that trusts the servers, and has itself a certificate, where that is said. */
export function trusting(client?: string): { ca: string; cert?: string; key?: string } {
  const ca = tlsFile('authority.crt')
  return client ? { ca, cert: tlsFile(`${client}.crt`), key: tlsFile(`${client}.key`) } : { ca }
}
