import { schemaForm } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'

/** What a database of the platform that is called holds: each run of a call leaves a row. */
const SCHEMA = `
  create table runs (id text not null);

  create function note(p_id text) returns text language plpgsql as $$
  begin
    insert into runs values (p_id);
    return p_id;
  end $$;

  create function note_slowly(p_id text, p_seconds float8) returns text language plpgsql as $$
  begin
    insert into runs values (p_id);
    perform pg_sleep(p_seconds);
    return p_id;
  end $$;

  create procedure note_and_commit(inout p_id text) language plpgsql as $$
  begin
    insert into runs values (p_id);
    commit;
    perform pg_sleep(0.02);
  end $$;

  create function look(p_id text) returns text language sql stable as $$ select p_id $$;
`

/** The archive that makes it. */
const FILES: Files = { 'migrations/001_runs.pssql': SCHEMA }

/** Settings of a gateway whose connections are few, and which gives up soon. */
export const SETTINGS = {
  MAX_CONNECTIONS_PER_POOL: '6',
  MAX_TOTAL_CONNECTIONS: '24',
  STATEMENT_TIMEOUT_SECS: '3',
  CONNECT_TIMEOUT_SECS: '3',
  POOL_WAIT_TIMEOUT_SECS: '5',
}

/** Registers tenants of the platform at the gateway. */
export async function registerTenants(
  url: string,
  platform: string,
  tenants: string[],
): Promise<void> {
  const archive = await pack(FILES)
  for (const tenant of tenants) {
    const body = schemaForm(platform, archive, tenant)
    const response = await fetch(`${url}/register`, { method: 'POST', body })
    if (!response.ok) throw new Error(await response.text())
  }
}
