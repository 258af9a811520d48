import { ALTERED_MEANWHILE, type Kind, plpgsql } from './kinds.ts'

/** PostgreSQL says so where an object goes while a statement that names it is being prepared. */
const GONE = [
  { status: 404, error: 'function_not_found' },
  { status: 500, sqlstate: 'XX000' },
  { status: 500, sqlstate: '42883' },
]

/** Functions and tables that a connection past the gateway changes. */
export const BY_HAND: Kind[] = [
  {
    name: 'hand_body',
    weight: 2,
    isByHand: true,
    sql: plpgsql('hand_body', "begin return p_token || ' 0'; end"),
    call: (token) => ({
      isRight: ([row]) => row.hand_body.startsWith(`${token} `),
    }),
  },
  {
    name: 'hand_shape',
    weight: 2,
    isByHand: true,
    sql: plpgsql('hand_shape', 'begin return p_token; end'),
    call: (token) => ({
      isRight: ([row]) => (row.hand_shape ?? row.token) === token,
      errors: GONE,
    }),
  },
  {
    name: 'hand_star',
    weight: 2,
    isByHand: true,
    sql: plpgsql(
      'hand_star',
      `declare r star; begin
         select * into r from star where id = 1; r.name := p_token; return next r;
       end`,
      { returns: 'setof star' },
    ),
    call: (token) => ({
      isRight: ([row]) => row.name === token && row.id === 1,
      errors: [ALTERED_MEANWHILE],
    }),
  },
]

/** Changes by hand, each of which may be made at any time; `n` grows with each. */
export const CHANGES: ((n: number) => string)[] = [
  (n) => plpgsql('hand_body', `begin return p_token || ' ${n}'; end`),
  (n) => `
    drop function hand_shape(text);
    ${
      n % 2
        ? plpgsql('hand_shape', 'begin return p_token; end')
        : plpgsql('hand_shape', `begin return query select p_token, ${n}; end`, {
            returns: 'table (token text, n int)',
          })
    }`,
  (n) =>
    n % 2
      ? 'alter table star add column if not exists more int'
      : 'alter table star drop column if exists more',
  (n) => `alter type mood add value if not exists 'mood ${n}'`,
  (n) => `alter function hand_body(text) ${n % 2 ? 'stable' : 'volatile'}`,
  // A function that assigns a text to it fails as long as it is an enum.
  (n) => `
    alter table orders alter status drop default;
    alter table orders alter status type ${n % 2 ? 'order_status using status::text::order_status' : 'text using status::text'}`,
]
