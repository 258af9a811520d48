import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'
import type { Json } from './gateway.ts'

const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Returns what axe-core finds in a page that is serious or critical, one line for each element. */
export async function findBarriers(page: Page): Promise<string[]> {
  const found: Json = await page.evaluate(`(async () => {
    if (!globalThis.axe) { ${source} }
    const { violations } = await axe.run(document, { resultTypes: ['violations'] })
    return violations
  })()`)
  return found
    .filter(({ impact }: Json) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }: Json) =>
      nodes.map((node: Json) => `${id}: ${node.html} ${node.failureSummary}`),
    )
}
