import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PROJECT } from '../helpers/gateway.ts'

/** Quotes that are no message of the gateway's as a whole: of PostgreSQL, of an answer, of two parts. */
const OTHERS = ['too many clients already', 'pending: true', 'Unknown member "…"']

/** The messages that docs/failures.md quotes: what stands between backticks in a first column. */
async function readQuotes(): Promise<string[]> {
  const page = await readFile(join(PROJECT, 'docs/failures.md'), 'utf8')
  const columns = [...page.matchAll(/^\| ([^|]+) \|/gm)].map(([, column]) => column!)
  const quotes = columns.flatMap((column) =>
    [...column.matchAll(/`([^`]+)`/g)].map(([, one]) => one!),
  )
  // Error codes and settings have no blanks, and are looked up by other tests.
  return quotes.filter((quote) => quote.includes(' ') && !OTHERS.includes(quote))
}

async function readSources(): Promise<string> {
  const lib = join(PROJECT, 'lib')
  const files = (await readdir(lib, { recursive: true })).filter((file) => file.endsWith('.ts'))
  const texts = await Promise.all(files.map((file) => readFile(join(lib, file), 'utf8')))
  // Texts that are put together over several lines.
  return texts.join('\n').replace(/['`] \+\s*['`]/g, '')
}

test('docs/failures.md quotes messages that the gateway writes', async () => {
  const quotes = await readQuotes()
  expect(quotes.length).toBeGreaterThan(8)
  const sources = await readSources()
  const isWritten = (quote: string) =>
    quote
      .split(/…|"/)
      .map((part) => part.trim())
      .filter((part) => /[a-z]{3}/.test(part))
      .every((part) => sources.includes(part))
  expect(quotes.filter((quote) => !isWritten(quote))).toEqual([])
})
