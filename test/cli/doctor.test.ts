import { expect, inject, test } from 'vitest'
import type { Check } from '../../lib/doctor/check.ts'
import { clockCheck } from '../../lib/doctor/server.ts'
import { cli } from '../helpers/cli.ts'
import { startOneGateway } from '../helpers/for-file.ts'
import { queryDatabase } from '../helpers/gateway.ts'
import { temporaryFolder } from '../helpers/process.ts'

const gateway = await startOneGateway()

/** Runs `doctor`, and returns what it found, by status. */
async function doctor(env: Record<string, string>, ...args: string[]) {
  const folder = await temporaryFolder()
  const all = { GATEWAY_URL: gateway.url, DUMP_DIR: folder, ...env }
  const { code, out } = await cli(['doctor', '--json', ...args], { folder, env: all })
  const { checks, ...counts } = JSON.parse(out)
  const named = (status: Check['status']) =>
    checks.filter((one: Check) => one.status === status).map((one: Check) => one.name)
  return { code, counts, checks: checks as Check[], named }
}

test('doctor looks at settings, machine, PostgreSQL and gateway', async () => {
  const found = await doctor({ DATABASE_URL: inject('databaseUrl') })
  expect(found).toMatchObject({ code: 0, counts: { errors: 0 } })
  expect(found.named('ok')).toEqual(
    expect.arrayContaining([
      'settings',
      'node',
      'reach',
      'version',
      'rights',
      'clock',
      'pg_hba',
      'gateway',
    ]),
  )
  // The tests' server runs without fsync.
  expect(found.named('warning')).toContain('durability')
  const [role] = await queryDatabase(
    'postgres',
    "select count(*)::int as n from pg_roles where rolname like 'gw\\_.trial\\_doctor%'",
    { asGateway: true },
  )
  expect(role.n).toBe(0)
  const strict = await doctor({ DATABASE_URL: inject('databaseUrl') }, '--strict')
  expect(strict.code).toBe(1)
})

test('doctor says what to do about each thing', async () => {
  const folder = await temporaryFolder()
  const env = {
    DATABASE_URL: inject('databaseUrl'),
    GATEWAY_URL: 'http://127.0.0.1:1',
    GATEWAY_HOST: '0.0.0.0',
    MAX_TOTAL_CONNECTIONS: '5000',
    MAX_CONNECTIONS_PER_PLATFORM: '6000',
    SHUTDOWN_TIMEOUT_SECS: '5',
    BASE_TEMPLATE: 'none_of_this_name',
  }
  const { code, out } = await cli(['doctor'], { folder, env })
  expect(code).toBe(1)
  expect(
    out,
  ).toContain(`! access  The gateway listens on 0.0.0.0, and whoever is in ALLOWED_NETWORKS may administer it
  → Set ADMIN_TOKEN, or ADMIN_NETWORKS
`)
  expect(out).toContain('MAX_CONNECTIONS_PER_PLATFORM is 6000, and MAX_TOTAL_CONNECTIONS 5000')
  expect(out).toContain('SHUTDOWN_TIMEOUT_SECS (5) is below STATEMENT_TIMEOUT_SECS (30)')
  expect(out).toContain('MAX_TOTAL_CONNECTIONS is 5000, but PostgreSQL has only')
  expect(out).toContain('✗ rights  BASE_TEMPLATE: there is no database none_of_this_name')
  expect(out).toContain('! gateway  No gateway answers at http://127.0.0.1:1')
  expect(out).toMatch(/\n1 error, \d+ warnings\n$/)
})

test('doctor says that PostgreSQL cannot be reached, or does not admit the role', async () => {
  const away = await doctor({ DATABASE_URL: 'postgres://gateway@127.0.0.1:1/postgres' })
  expect(away.code).toBe(1)
  expect(away.checks.find(({ name }) => name === 'reach')).toMatchObject({
    status: 'error',
    advice: expect.stringContaining('Start PostgreSQL'),
  })
  const url = inject('databaseUrl').replace(/\/\/[^@]*@/, '//nobody:wrong@')
  const refused = await doctor({ DATABASE_URL: url })
  expect(refused.checks.find(({ name }) => name === 'reach')).toMatchObject({
    status: 'error',
    advice: expect.stringContaining('Correct the role and password'),
  })
  const wrong = await doctor({ GATEWAY_PORT: 'x' })
  expect(wrong.checks[0]).toMatchObject({ name: 'settings', status: 'error' })
  const embedded = await doctor({})
  expect(embedded.named('ok')).toEqual(expect.arrayContaining(['embedded', 'DATA_DIR']))
})

test('clocks that differ by seconds are a warning', () => {
  expect(clockCheck('A', 1500).status).toBe('ok')
  expect(clockCheck('A', -3000)).toMatchObject({
    status: 'warning',
    message: "A clock is 3.0 s behind this machine's",
  })
})
