import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'

/** A file of the page /docs. */
export interface PageFile {
  /** Media type. */
  type: string
  bytes: Buffer
}

/** The page /docs with the files that it loads. */
export interface DocsPage {
  /** The document, which names its files by `version`. */
  html: Buffer
  /** 16 hexadecimal digits of the SHA-256 of all files: another file is another version. */
  version: string
  /** The files by name, without the document. */
  files: ReadonlyMap<string, PageFile>
}

const FOLDER = new URL('./page/', import.meta.url)
const DOCUMENT = 'index.html'

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * Headers of the page and its files. Only files of the gateway run and load, no page of anybody else
 * frames this one, and no text becomes markup.
 */
export const PAGE_HEADERS: Record<string, string> = {
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

let page: DocsPage | undefined

/** Returns the page, which is read once. */
export function docsPage(): DocsPage {
  page ??= readPage()
  return page
}

function readPage(): DocsPage {
  const html = readFileSync(new URL(DOCUMENT, FOLDER), 'utf8')
  const names = readdirSync(FOLDER).filter((name) => TYPES[extname(name)] !== undefined)
  const files = new Map(
    names.sort().map((name): [string, PageFile] => {
      const bytes = readFileSync(new URL(name, FOLDER))
      return [name, { type: TYPES[extname(name)]!, bytes }]
    }),
  )
  const hash = createHash('sha256').update(html)
  for (const [name, { bytes }] of files) hash.update(`\0${name}\0${bytes.length}\0`).update(bytes)
  const version = hash.digest('hex').slice(0, 16)
  return { html: Buffer.from(html.replaceAll('{version}', version)), version, files }
}
