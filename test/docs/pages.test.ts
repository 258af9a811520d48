import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PROJECT } from '../helpers/gateway.ts'
import { type PagesServer, startPagesServer } from './gateway-for-pages.ts'
import { blocksOf, readPage } from './page.ts'
import { runBlocks } from './run-page.ts'

// Every shell block of README.md and docs/ runs, and answers as the page shows.

/** Has blocks of SQL that need databases of an original gateway: from-the-original.test.ts. */
const OTHER_TEST = 'docs/from-the-original.md'

const files = await readdir(join(PROJECT, 'docs'))
const docs = files.filter((file) => file.endsWith('.md')).map((file) => `docs/${file}`)
const pages = ['README.md', ...docs.sort()].filter((path) => path !== OTHER_TEST)
const texts = new Map(
  await Promise.all(pages.map(async (path) => [path, await readPage(path)] as const)),
)

let server: PagesServer

beforeAll(async () => {
  server = await startPagesServer()
})
afterAll(() => server.stop())

const toRun = pages.filter((path) =>
  blocksOf(texts.get(path)!).some(({ language, notRun }) => language === 'bash' && !notRun),
)

test.each(toRun)('%s does what it says', async (path) => {
  await server.withGateway(async (url, folder, env) => {
    const text = texts.get(path)!.replaceAll('localhost:9000', new URL(url).host)
    expect(await runBlocks(blocksOf(text), folder, env)).toBeGreaterThan(0)
  })
})

describe('the links between pages', () => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-')
  const anchorsOf = (text: string) =>
    [...text.replaceAll(/^```.*?^```$/gms, '').matchAll(/^#+ (.+)$/gm)].map(([, one]) => slug(one!))

  test.each([...pages, 'ARCHITECTURE.md', 'SECURITY.md'])('of %s lead somewhere', async (path) => {
    const text = texts.get(path) ?? (await readPage(path))
    const broken: string[] = []
    for (const [, link] of text.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
      const [file, anchor] = link!.split('#')
      const target = file ? join(path, '..', file) : path
      const there = await readPage(target).catch(() => undefined)
      if (there === undefined || (anchor && !anchorsOf(there).includes(anchor))) broken.push(link!)
    }
    expect(broken).toEqual([])
  })
})

test('README.md fits 200 lines', () => {
  expect(texts.get('README.md')!.split('\n').length).toBeLessThanOrEqual(201)
})
