import {
  createAdminDatabase,
  dropAdminDatabase,
  startTestGateway,
  type TestGateway,
} from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

/** Two gateways on one catalog, which clients ask by turns. */
export interface World {
  gateway: TestGateway
  url: () => string
  stop(): Promise<void>
}

export async function startWorld(env: Record<string, string> = {}): Promise<World> {
  const database = await createAdminDatabase()
  const gateways = [
    await startTestGateway({ ...env, DATABASE_URL: database }),
    await startTestGateway({ ...env, DATABASE_URL: database }),
  ]
  let turn = 0
  return {
    gateway: gateways[0]!,
    url: () => gateways[turn++ % gateways.length]!.url,
    stop: async () => {
      for (const gateway of gateways) await gateway.stop()
      await dropAdminDatabase(database)
    },
  }
}

/** UUIDs of ten tenants, which begin with another digit each. */
export const UUIDS = Array.from(
  { length: 10 },
  (_, i) => `${i}f2504e0-4f89-41d3-9A0C-0305e82c330${i}`,
)

/** A platform's archive: things that are added and listed. Release 2 has a column more. */
export function release(number: 1 | 2): Promise<Uint8Array> {
  const isNew = number === 2
  return pack({
    'migrations/001_things.pssql':
      'create table things (id serial primary key, name text not null unique);',
    ...(isNew && { 'migrations/002_note.pssql': 'alter table things add column note text;' }),
    'seeders/things.pssql': "insert into things (name) values ('first');",
    'functions/add_thing.pssql': `create or replace function add_thing(p_name text, p_count int)
      returns int language sql as $$ insert into things (name) values (p_name) returning id + p_count $$;`,
    'functions/list_things.pssql': `create or replace function list_things()
      returns table (o_name text) stable language sql as $$ select name from things order by id $$;`,
    'functions/release.pssql': `create or replace function release() returns int immutable
      language sql as $$ select ${number} $$;`,
  })
}
