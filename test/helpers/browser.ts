import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { type Browser, chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome']

/** What makes Chromium ask other hosts by itself, and what root or a container has not. */
const ARGUMENTS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-dev-shm-usage',
  '--disable-gpu',
  '--disable-quic',
  '--disable-sync',
  '--no-first-run',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
]

/**
 * The path of a Chromium of this machine; undefined where there is none, which is said. `.ci/browser`
 * installs one where it can.
 * @throws if there is none and CI_REQUIRE_BROWSER is set
 */
export function findBrowser(): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const found = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(isProgram)
  if (found !== undefined) return found
  const missing = `no browser (${NAMES.join(', ')}) is in PATH`
  if (process.env.CI_REQUIRE_BROWSER) throw new Error(`CI_REQUIRE_BROWSER is set, and ${missing}`)
  console.warn(`${missing}: the tests of pages are skipped (apt-get install chromium)`)
  return undefined
}

/** Starts a browser without a window. */
export function startBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: ARGUMENTS })
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
