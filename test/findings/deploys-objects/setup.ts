import { afterAll, beforeAll } from 'vitest'
import { createReader } from '../../helpers/for-file.ts'
import { startTestGateway, type TestGateway } from '../../helpers/gateway.ts'
import type { Files } from '../../helpers/platforms.ts'
import { newPlatform as newPlatformOf } from '../../helpers/releases.ts'

// Functions, views, triggers and policies that the first design lost, did not notice or could not
// replace.

/** A role that tests grant privileges to. */
export let ROLE: string

export let gateway: TestGateway

/** Starts what the tests of a file use; each file calls this at its top. */
export async function setUp(): Promise<void> {
  ROLE = await createReader()

  beforeAll(async () => {
    gateway = await startTestGateway()
  })

  afterAll(() => gateway.stop())
}

export const newPlatform = (base: Files) => newPlatformOf(gateway, base)

export const ready = { status: 'ready' }

export const sql = (text: string, returns = 'int') =>
  `returns ${returns} language sql as $$ ${text} $$;`

export const TABLE = 'create table item (id int primary key, name text, price int);'
