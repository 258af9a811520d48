import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { ACTIONS } from '../audit/entry.ts'
import { OUTCOMES } from '../audit/table.ts'
import { type Page, type PageFile, readFile, readPage, scriptFile } from './page.ts'

/** Where the sources of the console are; the build copies them beside lib/. */
const FOLDER = new URL('../../console/', import.meta.url)

/** A file of a package: what Node.js finds by name, and the file beside it that browsers load. */
interface PackageFile {
  name: string
  /** File beside the one that Node.js finds. */
  file: string
  /** The package that needs this one, where the gateway itself does not. */
  neededBy?: string
  /** Path below the version; index.html names it. */
  path: string
}

const PACKAGES: PackageFile[] = [
  { name: 'preact', file: 'preact.mjs', path: 'modules/preact.js' },
  { name: 'preact/hooks', file: 'hooks.mjs', path: 'modules/hooks.js' },
  { name: 'htm', file: 'htm.mjs', path: 'modules/htm.js' },
  { name: '@preact/signals', file: 'signals.mjs', path: 'modules/signals.js' },
  {
    name: '@preact/signals-core',
    file: 'signals-core.mjs',
    neededBy: '@preact/signals',
    path: 'modules/signals-core.js',
  },
  { name: 'uplot', file: 'uPlot.esm.js', path: 'modules/uplot.js' },
  { name: 'uplot', file: 'uPlot.min.css', path: 'modules/uplot.css' },
]

/** Files of the page /docs that the console uses too: looks, and how parameters of functions are typed in. */
const DOCS = new URL('../docs-page/page/', import.meta.url)
const DOCS_FILES = ['base.css', 'kept-theme.js', 'parameters.js', 'requests.js', 'schema.js']

let page: Page | undefined

/** Returns the page /console, which is read once. */
export function consolePage(): Page {
  page ??= readPage(FOLDER, new Map([...packageFiles(), ...docsFiles(), auditFile()]))
  return page
}

/** The kinds and outcomes of entries, which the filters of the page Audit offer. */
function auditFile(): [string, PageFile] {
  const lists = Object.entries({ ACTIONS, OUTCOMES })
  const lines = lists.map(([name, list]) => `export const ${name} = ${JSON.stringify(list)}\n`)
  return ['audit/choices.js', scriptFile(lines.join(''))]
}

function docsFiles(): [string, PageFile][] {
  return DOCS_FILES.map((name) => [`docs/${name}`, readFile(new URL(name, DOCS), name)])
}

function packageFiles(): Map<string, PageFile> {
  const own = createRequire(import.meta.url)
  return new Map(
    PACKAGES.map(({ name, file, neededBy, path }) => {
      const require = neededBy === undefined ? own : createRequire(own.resolve(neededBy))
      return [path, withoutSourceMap(readFile(beside(require.resolve(name), file), path))]
    }),
  )
}

function beside(path: string, file: string): URL {
  return new URL(file, pathToFileURL(path))
}

/** The gateway does not serve the source maps of packages. */
function withoutSourceMap({ type, bytes }: PageFile): PageFile {
  const text = bytes.toString('utf8').replace(/\/\/# sourceMappingURL=\S+\s*$/, '\n')
  return { type, bytes: Buffer.from(text) }
}
