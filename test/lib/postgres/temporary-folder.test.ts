import { mkdir, readdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { startTwoGateways } from '../../helpers/for-file.ts'
import { temporaryFolder } from '../../helpers/process.ts'

const { gateway } = await startTwoGateways({ DEPLOY_TIMEOUT_SECS: '60' })

let folder: string
beforeAll(async () => {
  folder = await temporaryFolder()
  process.env.TMPDIR = folder
})

test('What a killed gateway left of pg_dump goes after DEPLOY_TIMEOUT_SECS, and nothing else does', async () => {
  const make = async (name: string, ageS: number) => {
    await mkdir(join(folder, name))
    await writeFile(join(folder, name, 'PGSSLKEY'), 'secret')
    const at = Date.now() / 1000 - ageS
    await utimes(join(folder, name), at, at)
  }
  await make('db-gateway-tool-old', 90)
  await make('db-gateway-tool-young', 30)
  await make('other', 90)
  await gateway.gateway.dueDrops.sweep()
  expect((await readdir(folder)).sort()).toEqual(['db-gateway-tool-young', 'other'])
})
