import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keyOf } from '../../lib/deploy/ledger/key.ts'
import { layoutOf, readPasswords } from '../../lib/postgres/embedded/cluster.ts'
import { type EmbeddedPostgres, startEmbedded } from '../../lib/postgres/embedded.ts'
import { Secret } from '../../lib/tenancy/secrets/secret.ts'
import {
  databaseUrlOf,
  queryDatabase,
  startTestGateway,
  TEST_SECRET,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

const WHO = {
  'functions/who.sql': `create function who() returns text language sql as 'select current_user::text'`,
}

/** A server of this file's own, that logs every statement. */
let server: EmbeddedPostgres
let dataDir: string
let superuserUrl: string
let statements = ''

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'db-gateway-isolation-'))
  server = await startEmbedded({
    dataDir,
    settings: { log_statement: 'all', log_parameter_max_length: '-1', fsync: 'off' },
    onLog: (line) => {
      statements += `${line}\n`
    },
  })
  const { postgres: password } = await readPasswords(layoutOf(dataDir))
  superuserUrl = server.url.replace(/gateway:[^@]*@\/gateway/, `postgres:${password}@/postgres`)
})

afterAll(async () => {
  await server?.stop()
  await rm(dataDir, { recursive: true, force: true })
})

async function withGateway(
  work: (gateway: TestGateway) => Promise<void>,
  env: Record<string, string> = {},
): Promise<void> {
  const gateway = await startTestGateway({ DATABASE_URL: server.url, ...env })
  try {
    await work(gateway)
  } finally {
    await gateway.stop()
  }
}

const asSuperuser = (text: string) =>
  queryDatabase('postgres', text, { asGateway: true, url: superuserUrl })

test('F4: no key of a ledger that is still good is in the log of all statements, or in pg_stat_activity', async () => {
  const platform = uniqueName('p')
  const database = `${platform}_main`
  const files: Record<string, string> = { ...WHO }
  await withGateway(async (gateway) => {
    files['migrations/0001_t.sql'] = `
      create table p (id int primary key);
      create table t (id int references p deferrable initially deferred)`
    expect((await gateway.register(platform, await pack(files))).status).toBe(200)
    // One whose commit fails, after the ledger was written.
    const bad = { ...files, 'migrations/0002_u.sql': 'insert into t values (1)' }
    expect((await gateway.register(platform, await pack(bad))).status).toBeGreaterThanOrEqual(400)
    const worse = { ...files, 'migrations/0002_u.sql': 'select 1 / 0' }
    expect((await gateway.register(platform, await pack(worse))).status).toBe(422)
    const more = { ...files, 'migrations/0003_v.sql': 'create table v (id int)' }
    await gateway.register(platform, await pack(more), undefined, { dry_run: 'true' })
    expect((await gateway.register(platform, await pack(more))).status).toBe(200)
    const seen = await asSuperuser('select query from pg_stat_activity')
    const [row] = await queryDatabase(database, 'select number from _db_gateway.state()', {
      asGateway: true,
      url: databaseUrlOf(database, server.url),
    })
    await sleep(500)
    const secret = new Secret(TEST_SECRET).ledgerKeyOf(database)
    const number = Number(row.number)
    expect(statements, 'writes are logged').toContain(keyOf(secret, number - 1))
    for (let next = number; next < number + 10; next++) {
      expect(statements).not.toContain(keyOf(secret, next))
    }
    for (const text of [statements, JSON.stringify(seen)]) {
      expect(text).not.toContain(secret)
      expect(text).not.toContain(TEST_SECRET)
    }
  })
})

test('a secret that is made is in no log of statements as a part of one, nor is a role’s password', async () => {
  const database = uniqueName('admin')
  const url = databaseUrlOf(database, server.url)
  await queryDatabase('gateway', `create database ${database}`, {
    asGateway: true,
    url: server.url,
  })
  statements = ''
  const platform = uniqueName('p')
  await withGateway(
    async (gateway) => {
      expect((await gateway.register(platform, await pack(WHO))).status).toBe(200)
    },
    { DATABASE_URL: url, GATEWAY_SECRET: '' },
  )
  await sleep(500)
  const logged = statements
  const [{ secret }] = await queryDatabase(database, 'select secret from _db_gateway_secret', {
    asGateway: true,
    url,
  })
  expect(secret).toMatch(/^[0-9a-f]{64}$/)
  expect(logged).toContain('_db_gateway_secret')
  expect(logged).not.toContain(secret)
  expect(logged).not.toContain(new Secret(secret).passwordOf(`gw_${platform}`))
})

test('a pg_hba.conf that lets no platform’s role in is known at the start', async () => {
  const file = join(layoutOf(dataDir).cluster, 'pg_hba.conf')
  const before = await readFile(file, 'utf8')
  const platform = uniqueName('p')
  const setHba = async (text: string) => {
    await writeFile(file, text)
    await asSuperuser('select pg_reload_conf()')
    await sleep(500)
  }
  try {
    await setHba('local all postgres,gateway scram-sha-256\n')
    await expect(startTestGateway({ DATABASE_URL: server.url })).rejects.toThrow(
      /^PostgreSQL does not let the roles of the platforms log in \(no pg_hba\.conf entry for .*add a line for them to pg_hba\.conf/,
    )
    await withGateway(
      async (gateway) => {
        expect((await gateway.get('/health')).body.isolation).toBe('shared-role')
      },
      { ISOLATION: 'shared' },
    )
    const left = await asSuperuser(`select rolname from pg_roles where rolname like 'gw_.trial%'`)
    expect(left).toHaveLength(0)
    // A file that names the platforms is enough.
    await setHba(before)
    await withGateway(async (gateway) => {
      await gateway.register(platform, await pack(WHO))
    })
    await setHba(`local all postgres,gateway,gw_${platform} scram-sha-256\n`)
    await withGateway(async (gateway) => {
      expect((await gateway.call(platform, 'who')).body.rows).toEqual([{ who: `gw_${platform}` }])
    })
  } finally {
    await setHba(before)
  }
})
