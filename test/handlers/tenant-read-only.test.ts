import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startTwoGateways } from '../helpers/for-file.ts'
import { type Json, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { eventually } from '../helpers/process.ts'

const FILES: Files = {
  'migrations/1_note.pssql': 'create table note (id serial primary key, body text);',
  'functions/add_note.pssql': `
    create or replace function add_note(body text) returns integer language sql volatile
    as $$ insert into note (body) values (body) returning id $$;`,
  'functions/count_notes.pssql': `
    create or replace function count_notes() returns bigint language plpgsql volatile as $$
    begin
      return (select count(*) from note);
    end $$;`,
  'functions/turn_writable.pssql': `
    create or replace function turn_writable() returns integer language plpgsql as $$
    begin
      perform set_config('default_transaction_read_only', 'off', false);
      perform set_config('transaction_read_only', 'off', true);
      insert into note (body) values ('by force');
      return 1;
    end $$;`,
  'functions/pretend.pssql': `
    create or replace function pretend() returns integer language plpgsql stable as $$
    begin
      return add_note('pretended');
    end $$;`,
  'functions/write_note.pssql': `
    create or replace procedure write_note(body text) language plpgsql as $$
    begin
      insert into note (body) values (body);
    end $$;`,
  'functions/write_later.pssql': `
    create or replace procedure write_later() language plpgsql as $$
    begin
      commit;
      set transaction read write;
      insert into note (body) values ('later');
    end $$;`,
  'functions/look.pssql': `
    create or replace procedure look(inout seen bigint default 0) language plpgsql as $$
    begin
      seen := (select count(*) from note);
    end $$;`,
}

const { gateway: one, other: two } = await startTwoGateways()
const platform = uniqueName('p')

let count = 0
let id: string
let tenant: { platform: string; tenant_id: string }
beforeAll(async () => {
  await one.register(platform, await pack(FILES))
})
beforeEach(async () => {
  id = `t${++count}`
  tenant = { platform, tenant_id: id }
  await one.post('/admin/create-tenant', { ...tenant, deploy: true })
  for (const each of [one, two]) {
    expect((await call(each, 'add_note', ['before'])).status).toBe(200)
  }
})

const call = (gateway: TestGateway, name: string, params: unknown = []) =>
  gateway.call(platform, name, params, id)
const notes = async () => {
  const rows = await one.query(`${platform}_${id}`, 'select body from note order by id')
  return rows.map(({ body }) => body)
}

async function setReadOnly(isReadOnly: boolean): Promise<void> {
  const limits = { read_only: isReadOnly }
  expect((await one.post('/admin/tenants', { ...tenant, limits })).status).toBe(200)
  await eventually('the other gateway knows it', () => {
    const known = two.gateway.catalog.limits.of(`${platform}_${id}`)
    return (known?.isReadOnly ?? false) === isReadOnly
  })
}

const REFUSED = [403, 'tenant_read_only']
const streaming = { accept: 'application/x-ndjson' }

describe('The calls of a read-only tenant', () => {
  test('that write are 403, whatever they try; those that do not write run', async () => {
    await setReadOnly(true)
    for (const gateway of [one, two]) {
      const writes = await Promise.all([
        call(gateway, 'add_note', ['x']),
        call(gateway, 'write_note', ['x']),
        call(gateway, 'pretend'),
        gateway.post('/call', { ...tenant, function: 'add_note', params: ['x'] }, streaming),
        gateway.post('/call', { ...tenant, function: 'pretend' }, streaming),
      ])
      expect(writes.map(({ status, body }) => [status, body.error])).toEqual(
        writes.map(() => REFUSED),
      )
      expect(writes[0]!.body).toMatchObject({ sqlstate: '25006', may_have_run: false })
      expect((await call(gateway, 'turn_writable')).status).toBe(500)
      expect((await call(gateway, 'write_later')).body).toMatchObject({
        error: 'query_failed',
        sqlstate: '2D000',
        hint: expect.stringContaining('read-only tenant'),
      })
      // The same sessions go on.
      expect((await call(gateway, 'add_note', ['x'])).status).toBe(403)
      expect((await call(gateway, 'count_notes')).body.rows).toEqual([{ count_notes: 2 }])
      expect((await call(gateway, 'look')).body.rows).toEqual([{ seen: 2 }])
      const stream = { ...tenant, function: 'count_notes' }
      expect((await gateway.post('/call', stream, streaming)).status).toBe(200)
    }
    expect(await notes()).toEqual(['before', 'before'])

    const next = { ...FILES, 'migrations/2_more.pssql': 'create table more ();' }
    const deployed = await two.register(platform, await pack(next), id)
    expect(deployed.body).toMatchObject({ status: 'ready', migrations_applied: 1 })
    await setReadOnly(false)
    for (const each of [one, two]) {
      expect((await call(each, 'add_note', ['after'])).status).toBe(200)
      expect((await call(each, 'write_later')).status).toBe(200)
    }
    expect(await notes()).toEqual(['before', 'before', 'after', 'later', 'after', 'later'])
  })

  test('of a batch, in one transaction or each by itself', async () => {
    await setReadOnly(true)
    const batch = (names: string[], transaction: boolean) => {
      const calls = names.map((name) => ({
        function: name,
        params: name.endsWith('_note') ? ['x'] : [],
      }))
      return two.post('/batch', { ...tenant, calls, transaction })
    }
    const whole = await batch(['count_notes', 'add_note'], true)
    expect([whole.status, whole.body.error, whole.body.call]).toEqual([...REFUSED, 1])
    expect((await batch(['count_notes', 'write_note'], true)).status).toBe(403)
    expect((await batch(['count_notes', 'look'], true)).status).toBe(200)
    const names = ['count_notes', 'add_note', 'turn_writable', 'write_note', 'write_later', 'look']
    const { status, body } = await batch(names, false)
    expect(status).toBe(200)
    const codes = body.results.map((result: Json) => result.error)
    expect(codes).toEqual([
      undefined,
      'tenant_read_only',
      'query_failed',
      'tenant_read_only',
      'query_failed',
      undefined,
    ])
    expect(await notes()).toEqual(['before', 'before'])
  })

  test('with an Idempotency-Key get the answer that was kept before; others keep nothing', async () => {
    const keyed = (gateway: TestGateway, key: string, params: unknown[] = ['kept']) =>
      gateway.post(
        '/call',
        { ...tenant, function: 'add_note', params },
        { 'idempotency-key': `"${key}"` },
      )
    const read = () =>
      one.post(
        '/call',
        { ...tenant, function: 'count_notes' },
        { 'idempotency-key': '"of a reading call"' },
      )
    await setReadOnly(true)
    // The database has no table of answers yet.
    expect((await read()).body.rows).toEqual([{ count_notes: 2 }])
    await setReadOnly(false)
    const first = await keyed(one, 'a')
    expect(first.status).toBe(200)
    await setReadOnly(true)
    const again = await keyed(two, 'a')
    expect([again.status, again.body, again.headers.get('idempotent-replayed')]).toEqual([
      200,
      first.body,
      'true',
    ])
    expect((await keyed(two, 'a', ['other'])).body.error).toBe('idempotency_key_reused')
    const refused = await keyed(two, 'b')
    expect([refused.status, refused.body.error]).toEqual(REFUSED)
    expect((await read()).body.rows).toEqual([{ count_notes: 3 }])
    await setReadOnly(false)
    expect((await keyed(two, 'b')).status).toBe(200)
    expect((await read()).body.rows).toEqual([{ count_notes: 4 }])
    expect(await notes()).toEqual(['before', 'before', 'kept', 'kept'])
  })
})
