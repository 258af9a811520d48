import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readConfig } from '../../../../lib/config.ts'
import { findOwnSecret, readOwnSecret, Secret } from '../../../../lib/tenancy/secrets/secret.ts'

const TEXT = 'a secret of thirty-two characters'

describe('what is derived from a secret', () => {
  test('is the same for every gateway that has it, and different for each purpose', () => {
    const secret = new Secret(TEXT)
    const derived = [
      secret.passwordOf('gw_a'),
      secret.passwordOf('gw_b'),
      secret.ledgerKeyOf('gw_a'),
      secret.fingerprint,
    ]
    expect(new Set(derived).size).toBe(4)
    expect(new Secret(TEXT).passwordOf('gw_a')).toBe(derived[0])
    expect(new Secret(`${TEXT}.`).passwordOf('gw_a')).not.toBe(derived[0])
    expect(derived[0]).toMatch(/^[\w-]{43}$/)
  })
})

describe('the secret of an embedded PostgreSQL', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'db-gateway-secret-'))
  })
  afterEach(() => rm(folder, { recursive: true }))

  test('is made up once, for nobody else to read', async () => {
    const secrets = await Promise.all([1, 2, 3].map(() => readOwnSecret(folder)))
    expect(new Set(secrets.map(({ secret }) => secret.fingerprint)).size).toBe(1)
    expect(secrets.filter(({ isNew }) => isNew)).toHaveLength(1)
    const file = join(folder, 'gateway-secret')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect((await readFile(file, 'utf8')).trim()).toMatch(/^[0-9a-f]{64}$/)
    const again = await readOwnSecret(folder)
    expect(again.secret.fingerprint).toBe(secrets[0]!.secret.fingerprint)
    expect(again.isNew).toBe(false)
    expect((await findOwnSecret(folder))?.fingerprint).toBe(again.secret.fingerprint)
  })

  test('is refused where its file is damaged', async () => {
    await writeFile(join(folder, 'gateway-secret'), 'short')
    await expect(readOwnSecret(folder)).rejects.toThrow(/gateway-secret is damaged/)
  })
})

describe('GATEWAY_SECRET', () => {
  test('has at least 32 characters; an error does not tell it', () => {
    expect(readConfig({ GATEWAY_SECRET: TEXT }).secret).toBe(TEXT)
    expect(readConfig({}).secret).toBeUndefined()
    expect(() => readConfig({ GATEWAY_SECRET: 'hunter2' })).toThrow(
      /^GATEWAY_SECRET: has 7 characters and needs 32(?!.*hunter2)/,
    )
  })
})
