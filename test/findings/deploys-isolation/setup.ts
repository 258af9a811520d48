import { afterEach, expect, inject } from 'vitest'
import {
  createAdminDatabase,
  databaseUrlOf,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { pack } from '../../helpers/platforms.ts'

export const WHO = {
  'functions/who.sql': `create function who() returns text language sql as 'select current_user::text'`,
}

export const OTHER_SECRET = 'another secret of the tests, as long'

export const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

/** As the role of the test server that the gateways are, or as another one. */
export const query = (database: string, text: string, url = inject('databaseUrl')) =>
  queryDatabase(database, text, { asGateway: true, url })

export async function start(env: Record<string, string>): Promise<TestGateway> {
  const gateway = await startTestGateway(env)
  let isStopped = false
  const stop = async () => {
    if (!isStopped) await gateway.stop()
    isStopped = true
  }
  cleanups.push(stop)
  return { ...gateway, stop }
}

export async function adminUrl(server?: string): Promise<string> {
  const url = await createAdminDatabase(server)
  cleanups.push(() => dropAdminDatabase(url))
  return url
}

/** A role of its own that may do what these words say. */
export async function createRole(
  rights: string,
): Promise<{ role: string; urlOf: (database: string) => string }> {
  const role = uniqueName('role')
  await query(
    'postgres',
    `create role ${role} login ${rights} password 'plain'; grant ${role} to current_user`,
  )
  cleanups.push(() => query('postgres', `drop role ${role}`))
  return {
    role,
    urlOf: (database) => databaseUrlOf(database).replace(/\/\/[^@]*@/, `//${role}:plain@`),
  }
}

export const failure = (env: Record<string, string>): Promise<string> =>
  startTestGateway(env).then(
    async (gateway) => {
      await gateway.stop()
      return 'started'
    },
    (error: Error) => error.message,
  )

export const who = async (gateway: TestGateway, platform: string) =>
  (await gateway.call(platform, 'who')).body.rows?.[0].who

/** Two gateways, one after the other, on the same catalog. */
export async function shareThenHandOver(
  plant: (database: string) => Promise<unknown>,
): Promise<{ answer: Json; database: string; gateway: TestGateway; platform: string }> {
  const url = await adminUrl()
  const platform = uniqueName('p')
  const database = `${platform}_main`
  const files: Record<string, string> = {
    ...WHO,
    'migrations/0001_t.sql': 'create table t (id int); insert into t values (1)',
  }
  const shared = await start({ DATABASE_URL: url, ISOLATION: 'shared' })
  expect((await shared.register(platform, await pack(files))).status).toBe(200)
  await plant(database)
  await shared.stop()
  const gateway = await start({ DATABASE_URL: url })
  files['migrations/0002_u.sql'] = 'create table u (id int)'
  const answer = await gateway.register(platform, await pack(files))
  return { answer, database, gateway, platform }
}

export const ownerOf = (database: string) =>
  `select pg_get_userbyid(datdba) as owner, datacl::text as acl
   from pg_database where datname = '${database}'`
