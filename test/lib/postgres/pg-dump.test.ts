import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { dump } from '../../../lib/postgres/pg-dump.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'db-gateway-dump-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** Reads what a program writes in place of pg_dump, some milliseconds after it has ended. */
async function read(script: string): Promise<string> {
  const path = join(folder, 'pg_dump')
  await writeFile(path, `#!/bin/sh\n${script}\n`)
  await chmod(path, 0o755)
  const server = parseDatabaseUrl('postgres://someone:x@127.0.0.1:1/none')
  const source = {
    server,
    credentials: undefined,
    database: 'd',
    withoutSchema: 'x',
    withoutData: 'y',
  }
  let text = ''
  await dump(path, source, { lockTimeoutMs: 1000 }, async (out) => {
    await sleep(100)
    for await (const piece of out) text += piece
  })
  return text
}

test('a small dump is read though pg_dump ends before', async () => {
  expect(await read('echo PGDMP and some more')).toBe('PGDMP and some more\n')
})

test('a dump without a byte is none', async () => {
  await expect(read('exit 0')).rejects.toThrow('it has written nothing')
  await expect(read('echo it is bad >&2; exit 1')).rejects.toThrow('it is bad')
})
