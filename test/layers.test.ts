import { readdir, readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const LIB = join(ROOT, 'lib')

/** The folder of lib/ that a module is in; of one at the top, its own name. */
function layerOf(module: string): string {
  return relative(LIB, module).split('/')[0]!
}

/** The table "Layers" of ARCHITECTURE.md: what each folder may import. */
async function readLayers(): Promise<Map<string, string[]>> {
  const text = await readFile(join(ROOT, 'ARCHITECTURE.md'), 'utf8')
  const [, section = ''] = text.split('\n## Layers\n')
  const rows = section.matchAll(/^\| `([^`]+)` \| [^|]+ \| ([^|]*)\|$/gm)
  const layers = [...rows].map(([, layer, imports]): [string, string[]] => [
    layer!,
    imports!.split(',').flatMap((name) => name.trim() || []),
  ])
  return new Map(layers)
}

/** The modules in a folder of the project. */
async function modulesIn(folder: string): Promise<string[]> {
  const files = await readdir(join(ROOT, folder), { recursive: true })
  return files.filter((file) => file.endsWith('.ts')).map((file) => join(ROOT, folder, file))
}

const readAll = (modules: string[]) =>
  Promise.all(modules.map((module) => readFile(module, 'utf8')))

/** The modules of lib/, each with the modules of lib/ that it imports. */
async function readImports(): Promise<Map<string, string[]>> {
  const modules = await modulesIn('lib')
  const all = modules.map(async (module): Promise<[string, string[]]> => {
    const text = await readFile(module, 'utf8')
    const paths = [...text.matchAll(/\bfrom '(\.[^']+\.ts)'/g)].map(([, path]) =>
      join(dirname(module), path!),
    )
    return [module, paths.filter((path) => path.startsWith(LIB))]
  })
  return new Map(await Promise.all(all))
}

describe('the layers of ARCHITECTURE.md', async () => {
  const layers = await readLayers()
  const imports = await readImports()

  test('are all folders and files at the top of lib/', async () => {
    expect([...layers.keys()].sort()).toEqual((await readdir(LIB)).sort())
  })

  test('no module imports what its layer may not', () => {
    const broken: string[] = []
    for (const [module, imported] of imports) {
      const layer = layerOf(module)
      for (const other of imported) {
        const isAllowed = layerOf(other) === layer || layers.get(layer)?.includes(layerOf(other))
        if (!isAllowed) broken.push(`${relative(ROOT, module)} imports ${relative(ROOT, other)}`)
      }
    }
    expect(broken).toEqual([])
  })

  test('no layer may import what no module of it imports', () => {
    const unused: string[] = []
    for (const [layer, allowed] of layers) {
      const used = new Set(
        [...imports]
          .filter(([module]) => layerOf(module) === layer)
          .flatMap(([, all]) => all.map(layerOf)),
      )
      for (const other of allowed) if (!used.has(other)) unused.push(`${layer}: ${other}`)
    }
    expect(unused).toEqual([])
  })

  test('gateway.ts is imported by what starts it alone, and its type by these', () => {
    const importersOf = (name: string) =>
      [...imports].flatMap(([one, all]) => (all.includes(join(LIB, name)) ? [one] : []))
    const isStarter = (module: string) => ['start', 'start.ts'].includes(layerOf(module))
    const isOwn = (module: string) => isStarter(module) || module === join(LIB, 'gateway.ts')
    expect(importersOf('gateway.ts').filter((module) => !isStarter(module))).toEqual([])
    expect(importersOf('gateway-parts.ts').filter((module) => !isOwn(module))).toEqual([])
  })

  test('nothing imports the command line, which imports no handler and no gateway', async () => {
    const others = await readAll([...imports.keys(), ...(await modulesIn('handlers'))])
    expect(others.filter((text) => /from '[^']*\/cli\//.test(text))).toEqual([])
    const own = await readAll(await modulesIn('cli'))
    expect(own.length).toBeGreaterThan(10)
    const isForeign = /from '[^']*\/(handlers\/|lib\/gateway\.ts|lib\/postgres\/)/
    expect(own.filter((text) => isForeign.test(text))).toEqual([])
  })

  test('lib/ has ten files at its top at most, and no handler is imported', async () => {
    const files = (await readdir(LIB)).filter((name) => name.endsWith('.ts'))
    expect(files.length).toBeLessThanOrEqual(10)
    const texts = await readAll([...imports.keys()])
    expect(texts.filter((text) => /from '[^']*\/handlers\//.test(text))).toEqual([])
  })

  test('no module has more than 300 lines, no test more than 500', async () => {
    const long: string[] = []
    for (const [files, limit] of [
      [[...imports.keys(), ...(await modulesIn('cli'))], 300],
      [await modulesIn('test'), 500],
    ] as const) {
      for (const file of files) {
        const lines = (await readFile(file, 'utf8')).split('\n').length - 1
        if (lines > limit) long.push(`${relative(ROOT, file)}: ${lines}`)
      }
    }
    expect(long).toEqual([])
  })
})
