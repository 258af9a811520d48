import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { readConfig } from '../../lib/config.ts'
import {
  createAdminDatabase,
  dropAdminDatabase,
  type Json,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const superuserUrl = inject('superuserUrl')

const archive = await pack({
  'tables/notes.pssql': 'create table notes (id int, body text);',
  'functions/all.pssql': `
    create or replace function find_notes(p_body text) returns setof notes language plpgsql stable
    as $$ begin
      -- don't show its value
      return query execute format(
        'select n.* from notes n, pg_sleep(0.15) where n.body <> %L and n.id <> 4711', p_body
      );
    end $$;
    create or replace function nap() returns void language sql
    as $$ select pg_sleep(0.15) $$;
    create or replace procedure rest() language plpgsql
    as $$ begin perform pg_sleep(0.15); end $$;`,
})

async function lastSlow(gateway: TestGateway, platform: string): Promise<Json> {
  return (await gateway.get(`/admin/slow?platform=${platform}&limit=1`)).body.slow[0]
}

describe.runIf(superuserUrl)('SLOW_CALL_PLANS of a gateway that may load auto_explain', () => {
  const platform = uniqueName('plans')
  let url: string
  let gateway: TestGateway
  const settings = { SLOW_CALL_MS: '100', SLOW_CALL_PLANS: 'on' }

  beforeAll(async () => {
    url = await createAdminDatabase(superuserUrl)
    gateway = await startTestGateway({ ...settings, DATABASE_URL: url })
    await gateway.register(platform, archive)
  })
  afterAll(async () => {
    await gateway?.stop()
    await dropAdminDatabase(url)
  })

  test('A slow call has the plan of the statement within its function, without values', async () => {
    await gateway.call(platform, 'find_notes', ['s3cret'])
    const { function: name, plan } = await lastSlow(gateway, platform)
    expect(name).toBe('find_notes')
    expect(plan).toContain("Query Text: select n.* from notes n, pg_sleep(?) where n.body <> '?'")
    expect(plan).toContain('Seq Scan on notes n')
    expect(plan).not.toMatch(/s3cret|4711/)
    // The call itself.
    expect(plan).toContain('Function Scan on find_notes')
  })

  test('also one with an Idempotency-Key, one in a stream, and a procedure', async () => {
    const call = { platform, function: 'nap' }
    await gateway.post('/call', call, { 'idempotency-key': '"nap"' })
    expect((await lastSlow(gateway, platform)).plan).toContain('pg_sleep')
    const find = { platform, function: 'find_notes', params: ['s3cret'] }
    await gateway.post('/call', find, { accept: 'application/x-ndjson' })
    expect((await lastSlow(gateway, platform)).plan).toContain('Seq Scan on notes n')
    await gateway.call(platform, 'rest')
    expect(await lastSlow(gateway, platform)).toMatchObject({
      function: 'rest',
      plan: expect.stringContaining('pg_sleep'),
    })
  })

  const settingsOf = async () => {
    const [row] = await queryDatabase(
      'postgres',
      `select setconfig from pg_db_role_setting s join pg_roles r on r.oid = s.setrole
       where rolname = 'gw_${platform}' and setdatabase = 0`,
      { asGateway: true, url: superuserUrl! },
    )
    return row?.setconfig ?? null
  }

  test('A reload turns plans on and off, and changes from when on', async () => {
    const reload = async (env: Record<string, string>) => {
      const { server, host, port } = gateway.gateway.config
      gateway.reload({ ...readConfig({ TEMPLATES: 'off', ...env }), server, host, port })
      const from = env.SLOW_CALL_PLANS === 'on' ? Number(env.SLOW_CALL_MS) / 10 : undefined
      await eventually('the role has the settings', async () => {
        const text = `${await settingsOf()}`
        return from === undefined
          ? text === 'null'
          : text.includes(`auto_explain.log_min_duration=${from}`)
      })
    }
    await reload({ ...settings, SLOW_CALL_PLANS: 'off' })
    await gateway.call(platform, 'nap')
    await reload({ SLOW_CALL_MS: '100000', SLOW_CALL_PLANS: 'on' })
    await reload(settings)
    await eventually('a call has a plan', async () => {
      await gateway.call(platform, 'nap')
      return (await lastSlow(gateway, platform)).plan?.includes('pg_sleep')
    })
  })

  test('Where it is off again, the roles are as before', async () => {
    expect(await settingsOf()).toContain('auto_explain.log_min_duration=10')
    const other = await startTestGateway({ DATABASE_URL: url })
    await other.stop()
    expect(await settingsOf()).toBeNull()
  })
})

test('A gateway that may not load auto_explain says so, and calls go on', async () => {
  const platform = uniqueName('plans')
  const gateway = await startTestGateway({ SLOW_CALL_MS: '100', SLOW_CALL_PLANS: 'on' })
  try {
    expect(gateway.logged.map(({ message }) => message).join()).toContain(
      'The plans of slow calls are not asked for: the role of the gateway may not set auto_explain',
    )
    await gateway.register(platform, archive)
    await gateway.call(platform, 'nap')
    expect(await lastSlow(gateway, platform)).toMatchObject({ function: 'nap', plan: null })
  } finally {
    await gateway.stop()
  }
})
