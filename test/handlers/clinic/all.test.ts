import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { gateway, platform, setUp } from './setup.ts'

setUp()

test('every function of the clinic is called by a test of this folder', async () => {
  const files = (await readdir(import.meta.dirname)).filter((file) => file.endsWith('.test.ts'))
  const texts = await Promise.all(
    files.map((file) => readFile(join(import.meta.dirname, file), 'utf8')),
  )
  const functions = await gateway.query(
    `${platform}_main`,
    `select distinct proname as name
     from pg_proc
     where pronamespace = 'public'::regnamespace and prorettype <> 'trigger'::regtype`,
  )
  const names = functions.map(({ name }) => name as string)
  expect(names.length).toBeGreaterThan(30)
  const isCalled = (name: string) => texts.some((text) => text.includes(`('${name}'`))
  expect(names.filter((name) => !isCalled(name))).toEqual([])
})
