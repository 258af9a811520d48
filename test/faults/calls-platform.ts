import type { Files } from '../helpers/platforms.ts'

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
export const FILES: Files = { 'migrations/001_runs.pssql': SCHEMA }
