import { afterAll, beforeAll, expect } from 'vitest'
import {
  type Answer,
  queryDatabase,
  startTestGateway,
  type TestGateway,
  uniqueName,
} from '../../helpers/gateway.ts'
import { type Files, pack, textFunction } from '../../helpers/platforms.ts'

export let gateway: TestGateway

/** Starts what the tests of a file use; each file calls this at its top. */
export function setUp(): void {
  beforeAll(async () => {
    gateway = await startTestGateway({ LOCK_TIMEOUT_SECS: '4' })
  })

  afterAll(() => gateway.stop())
}

export const BASE: Files = {
  'migrations/001_item.pssql': `
    create table item (id int primary key, name varchar(20), price numeric(8,2), note text);
    create table spare (id int);
  `,
  ...textFunction('motto', 'first'),
}

/** A platform with one row in `item` and none in `spare`. */
export async function newPlatform(files: Files = BASE) {
  const platform = uniqueName('s')
  const database = `${platform}_main`
  expect((await gateway.register(platform, await pack(files))).body).toMatchObject({
    status: 'ready',
  })
  const deploy = async (more: Files, flags: Record<string, string> = {}): Promise<Answer> =>
    gateway.register(platform, await pack({ ...files, ...more }), undefined, flags)
  if (files === BASE) await queryDatabase(database, "insert into item values (1, 'one', 1.50, 'n')")
  return { platform, database, deploy }
}

export const migration = (text: string): Files => ({ 'migrations/002_next.pssql': text })
