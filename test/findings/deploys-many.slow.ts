import { expect, test } from 'vitest'
import { startOneGateway } from '../helpers/for-file.ts'
import { uniqueName } from '../helpers/gateway.ts'
import { pack } from '../helpers/platforms.ts'

const gateway = await startOneGateway()

// A call of a function takes some 125,000 arguments.
test('a file of 150,000 statements is deployed, and leaves no error that nobody hears', async () => {
  const platform = uniqueName('many')
  const base = { 'migrations/001_base.sql': 'create table t (n int);' }
  await gateway.register(platform, await pack(base))
  for (const one of [platform, uniqueName('many')]) {
    const files = {
      ...base,
      'migrations/002_many.sql': 'insert into t values (1);'.repeat(150_000),
    }
    const { body } = await gateway.register(one, await pack(files))
    expect(body).toMatchObject({ status: 'ready' })
    const [row] = await gateway.query(`${one}_main`, 'select count(*)::int as n from t')
    expect(row).toEqual({ n: 150_000 })
  }
})

test('an error after so many statements is answered', async () => {
  const files = { 'migrations/001_many.sql': `${'select 1;'.repeat(150_000)} select 1 / 0;` }
  const { status, body } = await gateway.register(uniqueName('many'), await pack(files))
  expect([status, body]).toMatchObject([
    422,
    { file: 'migrations/001_many.sql', sqlstate: '22012' },
  ])
})
