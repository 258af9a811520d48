import { type Kind, plpgsql } from './kinds.ts'
import { TYPES_SQL, TYPES_TABLE, typesRow } from './reads.ts'

/** What functions do to their session. */
const BODIES: Record<string, string> = {
  leave_settings: `set app.leak = 'x'; perform set_config('app.leaked', 'x', false);`,
  leave_local_settings: `set local app.leak = 'x'; set local timezone = 'Asia/Tokyo';`,
  leave_no_path: 'set search_path = pg_catalog;',
  leave_role: `execute format('set role %I', current_user);`,
  leave_read_only: 'set session characteristics as transaction read only;',
  leave_timeout: `set statement_timeout = '50ms'; set lock_timeout = '50ms';`,
  leave_temp_table: 'create temp table leaked as select p_token as token;',
  leave_temp_function: `create function pg_temp.read_text(text) returns text language sql as 'select ''leaked''';`,
  leave_prepared: `execute 'prepare leaked as select 1';`,
  leave_cursor: `execute 'declare leaked cursor with hold for select 1';`,
  leave_listen: 'listen leaked;',
  leave_lock: 'perform pg_advisory_lock(hashtext(p_token));',
  leave_sequence: `perform nextval('leaked');`,
  deallocate_all: `execute 'deallocate all';`,
  discard_plans: `execute 'discard plans'; execute 'discard temp'; execute 'discard sequences';`,
}

/** A session in which nothing was left. */
const CLEAN = {
  settings: '',
  path: '"$user", public',
  role: 'none',
  temporary: 0,
  prepared: 0,
  listens: 0,
  locks: 0,
  cursors: 0,
}

/** Functions that leave something in their session, and those that look for it. */
export const LEAVINGS: Kind[] = [
  ...Object.entries(BODIES).map(
    ([name, body]): Kind => ({
      name,
      weight: 1,
      leaves: true,
      sql: plpgsql(name, `begin ${body} return p_token; end`),
      call: (token) => ({ rows: [{ [name]: token }] }),
    }),
  ),
  {
    name: 'leave_formats',
    weight: 2,
    leaves: true,
    sql: plpgsql(
      'leave_formats',
      `begin
         set timezone = 'Asia/Tokyo';
         set bytea_output = 'escape';
         set extra_float_digits = -15;
         set datestyle = 'German';
         return query select p_token, ${TYPES_SQL};
       end`,
      { returns: TYPES_TABLE },
    ),
    call: (token) => ({ rows: [typesRow(token)] }),
  },
  {
    name: 'look',
    weight: 3,
    sql: plpgsql(
      'look',
      `begin
         return query select p_token, jsonb_build_object(
           'settings', concat(
             current_setting('app.leak', true), current_setting('app.leaked', true),
             current_setting('storm.token', true)),
           'path', current_setting('search_path'),
           'role', current_setting('role'),
           'temporary', (select count(*) from pg_class where relnamespace = pg_my_temp_schema()),
           'prepared', (select count(*) from pg_prepared_statements where from_sql),
           'listens', (select count(*) from pg_listening_channels()),
           'locks', (
             select count(*) from pg_locks
             where locktype = 'advisory' and classid <> 1684170615 and pid = pg_backend_pid()),
           'cursors', (select count(*) from pg_cursors where is_holdable));
       end`,
      { returns: 'table (token text, session jsonb)' },
    ),
    call: (token) => ({
      isRight: ([{ token: found, session }]) =>
        found === token && Object.entries(CLEAN).every(([name, value]) => session[name] === value),
    }),
  },
  {
    name: 'last_value',
    weight: 1,
    sql: plpgsql(
      'last_value',
      `begin
         return 'leaked ' || lastval();
       exception when object_not_in_prerequisite_state then
         return p_token;
       end`,
    ),
    call: (token) => ({ rows: [{ last_value: token }] }),
  },
]
