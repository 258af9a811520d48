import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadRoutes } from '../../lib/http/routes.ts'
import { putBetween, updateDocuments } from '../../scripts/docs.ts'
import { PROJECT } from '../helpers/gateway.ts'
import { temporaryFolder } from '../helpers/process.ts'

test('the tables of docs/ and .env.example are what the code says', async () => {
  expect(await updateDocuments(PROJECT, false)).toEqual([])
})

describe('npm run docs', () => {
  /** A copy of the documents. */
  const copy = async () => {
    const folder = await temporaryFolder()
    for (const name of ['docs', '.env.example']) {
      await cp(join(PROJECT, name), join(folder, name), { recursive: true })
    }
    return folder
  }

  test('finds a table that was edited, mends it, and leaves the prose around it', async () => {
    const folder = await copy()
    const page = join(folder, 'docs/settings.md')
    const text = await readFile(page, 'utf8')
    const prose = `${text}\nProse below the table.\n`
    await writeFile(page, prose.replace('| `9000` |', '| `9001` |'))
    expect(await updateDocuments(folder, false)).toEqual(['docs/settings.md'])
    expect(await updateDocuments(folder, true)).toEqual(['docs/settings.md'])
    expect(await readFile(page, 'utf8')).toBe(prose)
    expect(await updateDocuments(folder, false)).toEqual([])
  })

  test('adds a table where a page has none', () => {
    const page = putBetween('# Page\n', 'codes', 'table')
    expect(page).toBe('# Page\n\n<!-- codes -->\n\ntable\n\n<!-- /codes -->\n')
    expect(putBetween(page, 'codes', 'other')).toBe(page.replace('table', 'other'))
  })
})

test('each endpoint says in a sentence of its own what it does', async () => {
  const routes = await loadRoutes(join(PROJECT, 'handlers'))
  const described = new Map<string, string[]>()
  for (const { method, path, description } of routes) {
    if (!description) throw new Error(`${method} ${path} has no description`)
    described.set(description, [...(described.get(description) ?? []), `${method} ${path}`])
  }
  const shared = [...described.values()].filter((paths) => paths.length > 1)
  // Two names of one endpoint.
  expect(shared).toEqual([
    ['POST /admin/database/create', 'POST /database/create'],
    ['GET /admin/platforms', 'GET /platforms'],
  ])
})
