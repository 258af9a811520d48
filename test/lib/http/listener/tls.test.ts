import { generateKeyPairSync } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { readTls, type TlsFiles } from '../../../../lib/http/listener/tls.ts'
import { temporaryFolder } from '../../../helpers/process.ts'
import { tlsFile, tlsPath } from '../../../helpers/tls.ts'

const GOOD: TlsFiles = {
  cert: tlsPath('server.crt'),
  key: tlsPath('server.key'),
  clientCa: undefined,
}

const ENCRYPTED_KEY = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' },
}).privateKey

const BROKEN_CERTIFICATE = tlsFile('authority.crt').replace(/\n.{20}/, `\n${'A'.repeat(20)}`)

it('reads a certificate and its key, and tells until when it is valid', () => {
  const { options, validUntil } = readTls({ ...GOOD, clientCa: tlsPath('authority.crt') })

  expect(validUntil).toEqual(new Date('2120-01-01T00:00:00Z'))
  expect(options).toMatchObject({ minVersion: 'TLSv1.2', ca: tlsFile('authority.crt') })
})

it.each([
  ['TLS_CERT_FILE', 'cert', 'nothing', 'no certificate in PEM'],
  ['TLS_CERT_FILE', 'cert', BROKEN_CERTIFICATE, 'a certificate that cannot be read'],
  ['TLS_CERT_FILE', 'cert', tlsFile('server.key'), 'no certificate in PEM'],
  ['TLS_KEY_FILE', 'key', tlsFile('server.crt'), 'no private key in PEM'],
  ['TLS_KEY_FILE', 'key', tlsFile('renewed.key'), 'not the key of the certificate'],
  ['TLS_KEY_FILE', 'key', ENCRYPTED_KEY, 'store it without a passphrase'],
  ['TLS_CLIENT_CA_FILE', 'clientCa', '', 'no certificate in PEM'],
  ['TLS_CLIENT_CA_FILE', 'clientCa', BROKEN_CERTIFICATE, 'a certificate that cannot be read'],
] as const)('an error names %s, where %s is wrong', async (name, field, text, message) => {
  const file = join(await temporaryFolder(), 'file')
  await writeFile(file, text)

  let error: Error | undefined
  try {
    readTls({ ...GOOD, [field]: file })
  } catch (caught) {
    error = caught as Error
  }
  expect(error?.message.startsWith(`${name}: ${file} `)).toBe(true)
  expect(error?.message).toContain(message)
  expect(error?.message).not.toContain('\n')
})

it('an error names the setting of a file that is not there', () => {
  expect(() => readTls({ ...GOOD, key: '/nowhere' })).toThrow(
    'TLS_KEY_FILE: /nowhere cannot be read: ENOENT',
  )
})
