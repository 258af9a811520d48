import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  dropDatabase,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../helpers/platforms.ts'
import { until } from '../helpers/process.ts'

// What databases have other than the template of their archive, or than the main one.

let gateway: TestGateway
let without: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway({ TEMPLATES: 'on' })
  without = await startTestGateway({ TEMPLATES: 'off' })
})
afterAll(async () => {
  await gateway.stop()
  await without.stop()
})

const BASE: Files = {
  'migrations/001_base.pssql': `
    create type mood as enum ('good', 'bad');
    create table item (
      id serial primary key, name text not null default 'x', mood mood, price numeric(8,2),
      constraint price_is_positive check (price > 0)
    );
    create table part (id int primary key, item_id int references item, note text);
    create index item_name on item (name);
    create view items as select name from item;
    create function stamp() returns trigger language plpgsql as $$ begin return new; end $$;
    create trigger stamped before update on item for each row execute function stamp();
    alter table part enable row level security;
    create policy everything on part using (true);
    grant select on item to public;
  `,
  ...textFunction('motto', 'first'),
}

async function platformOf(gateway: TestGateway, tenants: string[]): Promise<string> {
  const name = uniqueName('drift')
  const archive = await pack(BASE)
  for (const tenant of [undefined, ...tenants]) {
    expect((await gateway.register(name, archive, tenant)).body.status).toBe('ready')
  }
  return name
}

const driftOf = async (gateway: TestGateway, platform: string) =>
  (await gateway.get(`/admin/drift?platform=${platform}`)).body

describe.each([['template'], ['main']])('compared with the %s', (kind) => {
  const the = () => (kind === 'template' ? gateway : without)

  test('databases are alike, whether files or a template made them, and what differs is told', async () => {
    const platform = await platformOf(the(), ['a', 'b', 'c', 'd', 'e'])
    expect(await driftOf(the(), platform)).toEqual({
      platform,
      summary: '6 alike',
      count: 6,
      alike: 6,
      groups: [],
      unreachable: [],
    })
    for (const tenant of ['a', 'b'])
      await queryDatabase(`${platform}_${tenant}`, 'drop index item_name')
    await queryDatabase(
      `${platform}_c`,
      `alter table item alter name set default 'y', alter mood set default 'bad', drop price, add size int;
       alter type mood add value 'odd';
       drop table part;
       create table extra (id int primary key);
       create or replace view items as select name, id from item;
       create or replace function motto() returns text language sql as $$ select 'other' $$;
       create function more() returns int language sql as 'select 1';
       revoke select on item from public;
       drop trigger stamped on item`,
    )
    await dropDatabase(`${platform}_d`)
    await queryDatabase(
      `${platform}_e`,
      `insert into item (name) values ('rows'), ('are none'); alter table part disable row level security`,
    )

    const drift = await driftOf(the(), platform)
    expect(drift.summary).toMatch(
      /^1 alike; 2 lack index public.item_name; 1 has another .*; 1 has .*; 1 cannot be reached$/,
    )
    expect(drift).toMatchObject({ count: 6, alike: 1 })
    expect(drift.unreachable).toEqual([
      { database: `${platform}_d`, error: 'database_not_found', message: expect.any(String) },
    ])
    const [indexes, ...others] = drift.groups
    expect(indexes).toMatchObject({
      reference: kind,
      count: 2,
      databases: [`${platform}_a`, `${platform}_b`],
      differences: [
        {
          object: 'index',
          name: 'public.item_name',
          change: 'missing',
          expected: 'CREATE INDEX item_name ON public.item USING btree (name)',
          actual: null,
        },
      ],
    })
    const of = (tenant: string) =>
      others
        .find(({ databases }: { databases: string[] }) => databases[0] === `${platform}_${tenant}`)
        .differences.map(
          ({ object, name, change }: Record<string, string>) => `${change} ${object} ${name}`,
        )
    expect(of('e')).toEqual(['different table public.part'])
    expect(of('c')).toEqual(
      [
        'different column public.item.mood',
        'different column public.item.name',
        'missing column public.item.price',
        'extra column public.item.size',
        'missing constraint public.item.price_is_positive',
        'extra function public.more()',
        'different function public.motto()',
        'different grants table public.item',
        'extra grants routine public.more()',
        'extra table public.extra',
        'missing table public.part',
        'missing trigger public.item.stamped',
        'different type public.mood',
        'different view public.items',
      ].filter((line) => !line.includes('grants routine')),
    )
  })
})

test('a database that is behind is compared with the template of its own archive', async () => {
  const platform = await platformOf(gateway, ['a', 'b'])
  const next = { ...BASE, 'migrations/002_next.pssql': 'create table next (id int primary key)' }
  expect((await gateway.migrate(platform, await pack(next), 'a')).body.status).toBe('completed')
  expect((await driftOf(gateway, platform)).summary).toBe('3 alike')
})

test('a platform without a database is 404; names in front of PostgreSQL’s own deceive nobody', async () => {
  const { status, body } = await gateway.get('/admin/drift?platform=nobody')
  expect([status, body.error]).toEqual([404, 'database_not_found'])
  const platform = await platformOf(gateway, ['a'])
  await queryDatabase(
    `${platform}_a`,
    `create function md5(text) returns text language sql as 'select 1::text';
     create function format(text, text) returns text language sql as 'select null::text'`,
  )
  await queryDatabase(
    'postgres',
    `alter database ${platform}_a set search_path = public, pg_catalog`,
    {
      asGateway: true,
    },
  )
  await until(async () => (await driftOf(gateway, platform)).alike === 1)
  const { groups } = await driftOf(gateway, platform)
  expect(
    groups[0].differences.map(({ change, name }: Record<string, string>) => [change, name]),
  ).toEqual([
    ['extra', 'public.format(text, text)'],
    ['extra', 'public.md5(text)'],
  ])
})
