import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { PROJECT } from './gateway.ts'

const FOLDER = join(PROJECT, 'docs/images')

/** Largest size of a picture in the repository, in bytes. */
const MAX_BYTES = 150_000

/** Whether this run writes the pictures of docs/images: where UPDATE_SCREENSHOTS is 1. */
export const writesScreenshots = process.env.UPDATE_SCREENSHOTS === '1'

/**
 * Takes a picture of a page as it is seen, and writes it to docs/images where that is asked for.
 * @throws if it is too large for the repository
 */
export async function takeScreenshot(page: Page, name: string): Promise<void> {
  const bytes = await page.screenshot({ animations: 'disabled', caret: 'hide' })
  if (bytes.length > MAX_BYTES) throw new Error(`${name}.png has ${bytes.length} bytes`)
  if (!writesScreenshots) return
  await mkdir(FOLDER, { recursive: true })
  await writeFile(join(FOLDER, `${name}.png`), bytes)
}
