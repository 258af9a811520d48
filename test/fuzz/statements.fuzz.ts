import { loadModule } from 'libpg-query'
import { beforeAll, describe } from 'vitest'
import { readStatement } from '../../lib/deploy/parser/read.ts'
import { splitStatements } from '../../lib/deploy/parser/split.ts'
import { fuzz } from './fuzz.ts'
import { mutatedTexts } from './mutations.ts'

const FILES = [
  'select 1; select 2;',
  "create or replace function f(p_a integer default 1) returns text language sql as $$ select 'é;' $$;",
  'create table t (id bigint primary key, name text /* ; */ not null); -- the end',
  "create view v as select * from t where name like '%;%'; commit",
  'do $body$ begin perform 1; end $body$; copy t from stdin',
]

describe('the files of an archive', () => {
  beforeAll(() => loadModule())

  fuzz(
    'statements',
    mutatedTexts(FILES, ['$$', '$body$', '/*', '*/', ';', 'begin', 'create', 'é']),
    (text) => {
      const statements = splitStatements(text)
      for (const statement of statements) {
        const isThere = text.startsWith(statement.text, statement.offset)
        if (!isThere) throw new Error(`${statement.text} is not at ${statement.offset}`)
        readStatement(statement.text)
      }
    },
    { fewer: 10 },
  )
})
