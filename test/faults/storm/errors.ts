import { type Kind, plpgsql, sql } from './kinds.ts'

const INSERT = 'insert into writes values (p_token);'

/** Errors of every class that a function may raise, with the status that each has. */
const STATES: [sqlstate: string, status: number][] = [
  ...['P0001', '22023', '22P02', '23502', '23514'].map((state): [string, number] => [state, 400]),
  ...['23505', '23503', '23P01', '40001', '40P01'].map((state): [string, number] => [state, 409]),
  ...['53100', '53300'].map((state): [string, number] => [state, 503]),
  ['42501', 403],
  ['57014', 504],
  ['PT418', 418],
  ['PT503', 503],
  // Those that say of a connection or a plan that it is no good say so of neither here.
  ...[
    ...['08006', '0A000', '21000', '24000', '25001', '25006', '25P02', '26000', '2BP01', '34000'],
    ...['38000', '3D000', '42601', '42804', '42883', '42P01', '42P05', '42P18', '54001', '55000'],
    ...['55P03', '57P01', '57P03', '58030', 'F0000', 'HV000', 'P0002', 'P0004', 'XX000', 'XX001'],
  ].map((state): [string, number] => [state, 500]),
]

/** Functions that fail: each answer has its own token where PostgreSQL's message can have it. */
export const ERRORS: Kind[] = [
  ...[
    // With a sequence, which is no transaction's: a second run is seen.
    { name: 'raise_and_write', before: `perform nextval('runs'); ${INSERT}`, countsRuns: true },
    { name: 'raise_only', before: '', countsRuns: false },
  ].map(
    ({ name, before, countsRuns }): Kind => ({
      name,
      weight: 5,
      countsRuns,
      sql: plpgsql(
        name,
        `begin ${before} raise exception 'of %', p_token using errcode = p_state; end`,
        { more: ', p_state text' },
      ),
      call: (token, random) => {
        const [sqlstate, status] = random.pick(STATES)
        return { params: [token, sqlstate], errors: [{ status, sqlstate, hasToken: true }] }
      },
    }),
  ),
  {
    name: 'fail_in_sql',
    weight: 2,
    sql: sql('fail_in_sql', "select 'of ' || p_token || (1 / p_n)", { more: ', p_n int' }),
    call: (token, random) =>
      random.chance(0.5)
        ? { params: [token, 1], rows: [{ fail_in_sql: `of ${token}1` }] }
        : { params: [token, 0], errors: [{ status: 400, sqlstate: '22012' }] },
  },
  {
    name: 'fail_to_convert',
    weight: 2,
    sql: sql('fail_to_convert', 'select p_token || p_n', { more: ', p_n int' }),
    call: (token, random) =>
      random.chance(0.5)
        ? { params: [token, 7], rows: [{ fail_to_convert: `${token}7` }] }
        : { params: [token, `x${token}`], errors: [{ status: 400, error: 'invalid_request' }] },
  },
  {
    name: 'fail_to_find',
    weight: 1,
    sql: '',
    call: () => ({ errors: [{ status: 404, error: 'function_not_found' }] }),
  },
  {
    name: 'fail_unique',
    weight: 2,
    sql: plpgsql('fail_unique', `begin ${INSERT} insert into item (id) values (1); end`),
    call: () => ({ errors: [{ status: 409, sqlstate: '23505' }] }),
  },
  {
    name: 'fail_check',
    weight: 1,
    sql: plpgsql('fail_check', `begin ${INSERT} insert into item (id) values (-1); end`),
    call: () => ({ errors: [{ status: 400, sqlstate: '23514' }] }),
  },
  {
    name: 'fail_to_assign',
    weight: 3,
    countsRuns: true,
    // The routine of the error is transformAssignedExpr.
    sql: plpgsql(
      'fail_to_assign',
      `begin perform nextval('runs'); ${INSERT} insert into counted values (p_token); return p_token; end`,
    ),
    call: () => ({ errors: [{ status: 500, sqlstate: '42804' }] }),
  },
  {
    name: 'fail_to_fetch',
    weight: 3,
    countsRuns: true,
    // FetchPreparedStatement.
    sql: plpgsql(
      'fail_to_fetch',
      `begin perform nextval('runs'); ${INSERT} execute 'execute there_is_none'; return p_token; end`,
    ),
    call: () => ({ errors: [{ status: 500, sqlstate: '26000' }] }),
  },
  {
    name: 'fail_to_revalidate',
    weight: 3,
    countsRuns: true,
    leaves: true,
    // RevalidateCachedQuery. What was prepared stays in the session.
    sql: plpgsql(
      'fail_to_revalidate',
      `begin
         perform nextval('runs');
         ${INSERT}
         create temp table revalidated on commit drop as select 1 as a;
         execute 'prepare revalidated as select * from revalidated';
         alter table revalidated add column b int;
         execute 'execute revalidated';
         return p_token;
       end`,
    ),
    call: () => ({ errors: [{ status: 500, sqlstate: '0A000' }] }),
  },
  {
    name: 'fail_to_discard',
    weight: 1,
    sql: plpgsql('fail_to_discard', `begin ${INSERT} execute 'discard all'; return p_token; end`),
    call: () => ({ errors: [{ status: 500, sqlstate: '25001' }] }),
  },
]
