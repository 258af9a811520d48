import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { catalogOf } from '../helpers/catalog.ts'
import { type Json, startTestGateway, type TestGateway, uniqueName } from '../helpers/gateway.ts'
import { type Files, pack } from '../helpers/platforms.ts'
import { RUNS, SEED } from './fuzz.ts'
import { archivesOf, histories } from './histories/release.ts'

// Whatever way a database came to a release, it is the same: release by release, all at once, or
// with some releases left out.

/** One history takes seconds, a case of the other fuzz tests microseconds. */
const HISTORIES = Math.max(3, Math.min(Math.floor(RUNS / 500), 10_000))
const SECONDS = Number(process.env.FUZZ_SECS ?? 3600)

let gateway: TestGateway
beforeAll(async () => {
  gateway = await startTestGateway()
})
afterAll(() => gateway.stop())

const TIMEOUT_MS = Math.max(300_000, SECONDS * 2000)

test(`histories of releases end alike (seed ${SEED})`, { timeout: TIMEOUT_MS }, async () => {
  await fc.assert(
    fc.asyncProperty(histories, fc.nat({ max: 5 }), async (history, lag) => {
      const archives = archivesOf(history)
      const last = archives.length - 1
      const from = Math.max(0, last - 1 - (lag % archives.length))
      const platform = uniqueName('hist')
      const deploy = async (files: Files, tenant?: string) => {
        const { body } = await gateway.register(platform, await pack(files), tenant, {
          allow: 'functions_missing',
        })
        expect(body, JSON.stringify([body, files], null, 1)).toMatchObject({ status: 'ready' })
      }
      for (const files of archives) await deploy(files)
      await deploy(archives[last]!, 'new')
      for (const files of [...archives.slice(0, from + 1), archives[last]!]) {
        await deploy(files, 'late')
      }
      const grown = await seen(platform, undefined, archives[last]!)
      expect(await seen(platform, 'new', archives[last]!)).toEqual(grown)
      expect(await seen(platform, 'late', archives[last]!)).toEqual(grown)
    }),
    {
      seed: SEED,
      numRuns: HISTORIES,
      interruptAfterTimeLimit: SECONDS * 1000,
      markInterruptAsFailure: false,
    },
  )
})

/** The catalogs, what each function answers, twice, and the catalogs' state once more. */
async function seen(platform: string, tenant: string | undefined, files: Files): Promise<Json> {
  const database = `${platform}_${tenant ?? 'main'}`
  const names = Object.keys(files).flatMap(
    (path) => /^functions\/.*\b(f\d+)\./.exec(path)?.[1] ?? [],
  )
  const answers: Json[] = []
  for (const name of [...names, ...names]) {
    const { status, body } = await gateway.call(platform, name, [1], tenant)
    answers.push([name, status, body.rows ?? body.error])
  }
  return { catalog: await catalogOf(database), answers }
}
