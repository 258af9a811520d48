import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT } from './gateway.ts'

/**
 * Certificates, valid until 2120. `authority` signed server and renewed (both for 127.0.0.1 and
 * localhost) and client; `other-authority` signed stranger. The common name of each is the name of
 * its file. `expired` was valid until 2021.
 */
const FOLDER = join(PROJECT, 'test/fixtures/tls')

export function tlsPath(name: string): string {
  return join(FOLDER, name)
}

/** Returns a certificate or key, in PEM. */
export function tlsFile(name: string): string {
  return readFileSync(tlsPath(name), 'utf8')
}

/**
 * Returns the TLS options of a client that trusts the servers, with the named client certificate if
 * one is given.
 */
export function trusting(client?: string): { ca: string; cert?: string; key?: string } {
  const ca = tlsFile('authority.crt')
  return client ? { ca, cert: tlsFile(`${client}.crt`), key: tlsFile(`${client}.key`) } : { ca }
}
