import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestGateway, type TestGateway, uniqueName } from '../../../helpers/gateway.ts'
import { shopFiles, without } from '../../../helpers/generations.ts'
import { type Files, pack } from '../../../helpers/platforms.ts'
import { newPlatform } from '../../../helpers/releases.ts'

let gateway: TestGateway

beforeAll(async () => {
  gateway = await startTestGateway()
})

afterAll(() => gateway.stop())

const columns = (table: string) =>
  `select string_agg(column_name || ' ' || data_type, ', ' order by column_name) as all
   from information_schema.columns where table_name = '${table}'`

/** The first release of the shop of today, from which its migrations lead to what tables/ has. */
async function firstRelease(): Promise<Files> {
  const files = without(await shopFiles('3.x'), 'migrations', 'views', 'functions', 'seeders')
  return {
    ...files,
    'tables/catalog/products.pgsql':
      'create table products (id serial primary key, name text not null, price numeric(10, 2) not null default 0);',
    'tables/orders.pgsql': `create table orders (id serial primary key,
       product_id integer not null references products (id),
       status order_status not null default 'open', quantity text not null default '1', note text);`,
    'seeders/products.pgsql': `insert into products (id, name, price) values (1, 'Pen', 1.55);
       insert into orders (product_id, quantity, note) values (1, '12', 'soon');`,
  }
}

describe('archives of each generation', () => {
  it.each([
    ['1.0', { migrations_applied: 2, tables_created: [] }],
    ['2.x', { migrations_applied: 1, tables_created: ['products'] }],
  ] as const)('deploys one of %s to a new database', async (generation, expected) => {
    const name = uniqueName('shop')
    const archive = await pack(await shopFiles(generation))
    const { body } = await gateway.register(name, archive)
    expect(body).toMatchObject({ ...expected, schema_validation: [], seeders_applied: 1 })
    const { body: called } = await gateway.call(name, 'list_products')
    expect(called.rows).toEqual([
      { o_id: 1, o_name: 'Pen', o_price: 1.5 },
      { o_id: 2, o_name: 'Paper', o_price: 4.0 },
    ])
    expect((await gateway.register(name, archive)).body).toMatchObject({ migrations_applied: 0 })
  })

  it('deploys one of 3.x to a new database, whose tables are as the migrations leave them', async () => {
    const name = uniqueName('shop')
    const { status, body } = await gateway.register(name, await pack(await shopFiles('3.x')))
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        migrations_applied: 4,
        tables_created: ['products', 'orders'],
        schema_validation: [],
      },
    })
    expect(body.warnings).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^migrations\/001_title.pgsql, line 1: passed over/),
        expect.stringMatching(/^migrations\/002_quantity.pgsql, line 1: passed over/),
        expect.stringMatching(/^migrations\/003_note.pgsql, line 1: passed over/),
      ]),
    )
    const { body: called } = await gateway.call(name, 'list_products')
    expect(called.rows).toHaveLength(2)
    expect(await gateway.query(`${name}_main`, columns('orders'))).toMatchObject([
      { all: expect.stringContaining('quantity integer') },
    ])
  })

  it('deploys it behind its first release, with what the helpers do', async () => {
    const platform = await newPlatform(gateway, await firstRelease())
    const answer = await platform.deploy(await shopFiles('3.x'))
    expect(answer).toMatchObject({
      status: 200,
      body: { migrations_applied: 4, tables_created: [], schema_validation: [] },
    })
    expect(await platform.query('select id, quantity from orders')).toEqual([
      { id: 1, quantity: 12 },
    ])
    expect(await platform.query('select title, price::text from products')).toEqual([
      { title: 'Pen', price: '1.60' },
    ])
    expect(await platform.query(columns('orders'))).toEqual([
      { all: expect.not.stringContaining('note') },
    ])
    const helpers = `select count(*)::int as n from pg_proc where proname like '\\_stonescript%'`
    expect(await platform.query(helpers)).toEqual([{ n: 0 }])
  })

  it('calls no function of the original gateway', async () => {
    const name = '_stonescriptdb_gateway_drop_column'
    const platform = await newPlatform(gateway, {
      'migrations/001.sql': `create function ${name}(text) returns void language sql as 'select'`,
    })
    expect(await platform.call(name, ['x'])).toMatchObject({ error: 'function_not_found' })
  })

  it('asks about a column that a helper drops beside the one that the migration names', async () => {
    const platform = await newPlatform(gateway, await firstRelease())
    const both = 'alter table orders drop column note; alter table products drop column price;'
    const answer = await platform.deploy({
      'functions/drop_both.pgsql': `create or replace function drop_both(text, text) returns void language plpgsql as $$
         begin ${both} end $$`,
      'migrations/001_both.pgsql': `select _stonescriptdb_gateway_drop_column('orders', 'note', 'drop_both')`,
    })
    expect(answer).toMatchObject({
      status: 409,
      body: {
        error: 'data_loss',
        file: 'migrations/001_both.pgsql',
        losses: [{ table: 'products', column: 'price', change: 'column_dropped' }],
      },
    })
  })

  it('runs migrations with a function that the same release has changed', async () => {
    const round = (digits: number) => ({
      'functions/round_price.pgsql': `drop function if exists round_price(numeric);
        create function round_price(p numeric) returns numeric language sql as $$ select round(p, ${digits}) $$;`,
    })
    const platform = await newPlatform(gateway, { ...(await firstRelease()), ...round(0) })
    const migration = 'update products set price = round_price(price) where id > 0;'
    const { body } = await platform.deploy({ ...round(1), 'migrations/001_round.pgsql': migration })
    expect(body).toMatchObject({ status: 'ready' })
    expect(await platform.query('select price::text from products')).toEqual([{ price: '1.60' }])
  })

  it('takes pgvector for the extension vector', async () => {
    const files = { 'extensions/pgvector.txt': '-- nearest neighbours' }
    const { status, body } = await gateway.register(uniqueName('shop'), await pack(files))
    expect({ status, body }).toMatchObject({
      status: 400,
      body: {
        error: 'extension_not_available',
        message: 'The PostgreSQL server does not have the extension vector',
        file: 'extensions/pgvector.txt',
      },
    })
  })

  it('says nothing of an extension file that creates its extension', async () => {
    const files = { 'extensions/pgcrypto.sql': 'CREATE EXTENSION IF NOT EXISTS "pgcrypto";' }
    const { body } = await gateway.register(uniqueName('shop'), await pack(files))
    expect(body).toMatchObject({ status: 'ready', warnings: [] })
  })
})
