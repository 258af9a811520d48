/**
 * SQL for the table of answers to calls with an Idempotency-Key, in each platform database. Calls
 * run as the platform's role, which can execute the functions but not read or write the table.
 * One transaction claims a row, fills in the answer and commits. A committed row without an answer
 * counts as unclaimed; only the platform itself can create one.
 */
export const ANSWERS = `
  select pg_advisory_xact_lock(hashtext('_db_gateway_answers'));
  create table if not exists _db_gateway.answers (
    key text not null,
    -- the call's place in its batch; 0 for POST /call
    place integer not null,
    -- SHA-256 of the request
    fingerprint bytea not null,
    -- the answer; null until the call has ended
    rows text,
    row_count bigint,
    took_ms integer,
    expires_at timestamptz not null,
    primary key (key, place)
  );
  create index if not exists answers_expires_at on _db_gateway.answers (expires_at);

  -- state: claimed (the caller runs the call), kept (the answer is returned), reused (another request
  -- has used the key). Waits for the end of a transaction that has claimed the key.
  create or replace function _db_gateway.claim_answer(
    the_key text, the_place integer, the_fingerprint bytea, ttl_ms bigint,
    out state text, out kept_rows text, out kept_count bigint, out kept_ms integer
  )
  language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $function$
  declare
    kept record;
    expiry timestamptz := clock_timestamp() + ttl_ms * interval '1 millisecond';
  begin
    if exists (
      select from _db_gateway.answers a
      where a.key = the_key and a.fingerprint <> the_fingerprint
        and a.rows is not null and a.expires_at > clock_timestamp()
    ) then
      state := 'reused';
      return;
    end if;
    for i in 1 .. 100 loop
      insert into _db_gateway.answers as a (key, place, fingerprint, expires_at)
      values (the_key, the_place, the_fingerprint, expiry)
      on conflict (key, place) do nothing;
      if found then
        state := 'claimed';
        return;
      end if;
      select a.* into kept from _db_gateway.answers a
      where a.key = the_key and a.place = the_place;
      -- A sweep has deleted the row.
      continue when not found;
      if kept.rows is not null and kept.expires_at > clock_timestamp() then
        if kept.fingerprint <> the_fingerprint then
          state := 'reused';
          return;
        end if;
        state := 'kept';
        kept_rows := kept.rows;
        kept_count := kept.row_count;
        kept_ms := kept.took_ms;
        return;
      end if;
      update _db_gateway.answers a
      set fingerprint = the_fingerprint, expires_at = expiry,
        rows = null, row_count = null, took_ms = null
      where a.key = the_key and a.place = the_place
        and (a.rows is null or a.expires_at <= clock_timestamp());
      if found then
        state := 'claimed';
        return;
      end if;
    end loop;
    raise serialization_failure using message = 'The key could not be claimed';
  end $function$;

  create or replace function _db_gateway.keep_answer(
    the_key text, the_place integer, the_rows text, the_count bigint, the_ms integer
  )
  returns void language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $function$
  begin
    update _db_gateway.answers a
    set rows = the_rows, row_count = the_count, took_ms = the_ms
    where a.key = the_key and a.place = the_place and a.rows is null;
    if not found then
      raise serialization_failure using message = 'The key is not claimed';
    end if;
  end $function$;

  create or replace function _db_gateway.sweep_answers(
    at_most integer, out removed bigint, out left_ms bigint
  )
  language plpgsql security definer set search_path = pg_catalog, pg_temp
  as $function$
  begin
    delete from _db_gateway.answers a
    using (
      select e.key, e.place from _db_gateway.answers e
      where e.expires_at <= clock_timestamp()
      order by e.expires_at limit at_most
      for update skip locked
    ) expired
    where a.key = expired.key and a.place = expired.place;
    get diagnostics removed = row_count;
    -- until the next one expires; null where none is left
    left_ms := (
      select extract(epoch from a.expires_at - clock_timestamp()) * 1000
      from _db_gateway.answers a order by a.expires_at limit 1
    );
  end $function$;
`

/** Functions that the platform's role may execute. */
export const ANSWERS_FUNCTIONS = [
  '_db_gateway.claim_answer(text, integer, bytea, bigint)',
  '_db_gateway.keep_answer(text, integer, text, bigint, integer)',
  '_db_gateway.sweep_answers(integer)',
]

const COLUMNS = [
  ['key', 'text'],
  ['place', 'int4'],
  ['fingerprint', 'bytea'],
  ['rows', 'text'],
  ['row_count', 'int8'],
  ['took_ms', 'int4'],
  ['expires_at', 'timestamptz'],
]

/**
 * SQL expression: whether a table of answers exists and is safe to read. It is if it is a plain
 * table without row-level security whose columns have the expected built-in types.
 */
export const HAS_ANSWERS = `(
  select count(*) = ${COLUMNS.length} from pg_attribute a
  join pg_class c on c.oid = a.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  join (values ${COLUMNS.map(([name, type]) => `('${name}', '${type}'::regtype)`).join(', ')})
    as wanted (name, type) on wanted.name = a.attname and wanted.type = a.atttypid
  where n.nspname = '_db_gateway' and c.relname = 'answers' and c.relkind = 'r'
    and not (c.relrowsecurity or c.relforcerowsecurity)
)`

/**
 * Returns SQL that copies the answers from the table of another schema.
 * @param from name of that schema, quoted as an SQL identifier
 */
export function copyAnswers(from: string): string {
  const columns = COLUMNS.map(([name]) => name).join(', ')
  return `
    insert into _db_gateway.answers (${columns})
    select ${columns} from only ${from}.answers where rows is not null
  `
}
