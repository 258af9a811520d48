import { describe, expect, test } from 'vitest'
import { layoutOf } from '../../lib/postgres/embedded/cluster.ts'
import { findServersOf, sendSignal } from '../../lib/postgres/embedded/processes.ts'
import { afterTest } from '../helpers/after-test.ts'
import { startProcess, temporaryFolder } from '../helpers/process.ts'

describe('A7: after a deploy that changes the type of an attribute', () => {
  const files = (isChanged: boolean) => ({
    'migrations/001_pair.pssql': 'create type pair as (t text, n int);',
    ...(isChanged && {
      'migrations/002_wide.pssql': 'alter type pair alter attribute n type bigint cascade;',
    }),
    'functions/pairs.pssql': `
      create or replace function pair_of() returns pair language plpgsql as
        $$ begin return row('t', 1)::pair; end $$;
      create or replace function pair_in_sql() returns pair language sql stable as
        $$ select row('t', 1)::pair $$;
      create or replace function pair_in_variable() returns pair language plpgsql as
        $$ declare p pair := row('t', 1)::pair; begin return p; end $$;
      create or replace function number_of_pair() returns bigint language plpgsql as
        $$ begin return (row('t', 1)::pair).n; end $$;`,
  })

  // A PostgreSQL of its own: it may crash.
  test('no session answers with the plan of before', { timeout: 60_000 }, async () => {
    const dataDir = `${await temporaryFolder()}/data`
    afterTest(() => {
      // A gateway that does not end in time leaves it.
      for (const pid of findServersOf(layoutOf(dataDir).cluster)) sendSignal(pid, 'SIGKILL')
    })
    const gateway = await startProcess({ DATA_DIR: dataDir })
    expect(await gateway.register('pairs', files(false))).toMatchObject({ status: 200 })
    const names = ['pair_of', 'pair_in_sql', 'pair_in_variable', 'number_of_pair']
    const callAll = () =>
      Promise.all(
        names.flatMap((name) => Array.from({ length: 6 }, () => gateway.call('pairs', name))),
      )
    const expected = names.flatMap((name) =>
      Array.from({ length: 6 }, () => ({
        status: 200,
        body: { rows: [name === 'number_of_pair' ? { [name]: 1 } : { t: 't', n: 1 }] },
      })),
    )
    for (let i = 0; i < 10; i++) expect(await callAll()).toMatchObject(expected)
    expect(await gateway.register('pairs', files(true))).toMatchObject({ status: 200 })
    for (let i = 0; i < 5; i++) expect(await callAll()).toMatchObject(expected)
  })
})
