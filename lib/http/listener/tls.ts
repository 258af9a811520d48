import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import type { Log } from '../../log.ts'

/** Paths in TLS_CERT_FILE, TLS_KEY_FILE and TLS_CLIENT_CA_FILE. */
export interface TlsFiles {
  cert: string
  key: string
  /** Undefined if clients need no certificate. */
  clientCa: string | undefined
}

/** Options of a TLS server, and the expiry of its certificate. */
export interface Tls {
  options: SecureContextOptions
  validUntil: Date
}

const CERTIFICATES = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs

/**
 * Reads the files and checks that they match.
 * @throws {Error} with one line that names the setting
 */
export function readTls(files: TlsFiles): Tls {
  const cert = readSetting('TLS_CERT_FILE', files.cert)
  const [certificate] = certificatesIn('TLS_CERT_FILE', files.cert, cert)
  const key = readSetting('TLS_KEY_FILE', files.key)
  if (!certificate!.checkPrivateKey(privateKey(files.key, key))) {
    throw new Error(`TLS_KEY_FILE: ${files.key} is not the key of the certificate in ${files.cert}`)
  }
  const options: SecureContextOptions = { cert, key, minVersion: 'TLSv1.2' }
  if (files.clientCa !== undefined) {
    const ca = readSetting('TLS_CLIENT_CA_FILE', files.clientCa)
    // An empty CA file would make OpenSSL trust no CA, and Node.js its default CAs.
    certificatesIn('TLS_CLIENT_CA_FILE', files.clientCa, ca)
    options.ca = ca
  }
  try {
    createSecureContext(options)
  } catch (error) {
    throw new Error(`TLS_CERT_FILE: ${files.cert} cannot be used: ${(error as Error).message}`)
  }
  return { options, validUntil: new Date(certificate!.validTo) }
}

/**
 * Reads the files and logs the expiry of the certificate, which it passes to `onLoaded`.
 * @throws {Error} with one line that names the setting
 */
export function loadTls(files: TlsFiles, log: Log, onLoaded?: (validUntil: Date) => void): Tls {
  const tls = readTls(files)
  const until = { valid_until: tls.validUntil.toISOString() }
  if (tls.validUntil.getTime() > Date.now()) log.info('The TLS certificate is loaded', until)
  else log.warn('TLS_CERT_FILE: the certificate has expired', until)
  onLoaded?.(tls.validUntil)
  return tls
}

/** Reloads the files for new connections; logs an error and keeps the old ones if that fails. */
export function renewTls(
  files: TlsFiles | undefined,
  listening: { renew(tls: Tls): void },
  log: Log,
  onLoaded?: (validUntil: Date) => void,
): void {
  try {
    if (files) listening.renew(loadTls(files, log, onLoaded))
  } catch (error) {
    log.error(`${(error as Error).message}; the previous certificate stays in use`)
  }
}

/** Logs a failed handshake at level debug only, because port scans cause them as well. */
export function logFailure({ code, message }: NodeJS.ErrnoException, log: Log): void {
  log.debug('A TLS handshake failed', { error: code ?? message })
}

function readSetting(name: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`${name}: ${path} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/** Returns the certificates of a file, at least one. */
function certificatesIn(name: string, path: string, text: string): X509Certificate[] {
  try {
    const certificates = (text.match(CERTIFICATES) ?? []).map((pem) => new X509Certificate(pem))
    if (certificates.length > 0) return certificates
  } catch {
    throw new Error(`${name}: ${path} has a certificate that cannot be read`)
  }
  throw new Error(`${name}: ${path} has no certificate in PEM`)
}

function privateKey(path: string, text: string): KeyObject {
  try {
    return createPrivateKey(text)
  } catch {
    throw new Error(
      text.includes('ENCRYPTED')
        ? `TLS_KEY_FILE: ${path} is encrypted: store it without a passphrase`
        : `TLS_KEY_FILE: ${path} has no private key in PEM`,
    )
  }
}
