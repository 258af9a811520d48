import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, sep } from 'node:path'

/** A file of a page. */
export interface PageFile {
  /** Media type. */
  type: string
  bytes: Buffer
}

/** A page of the gateway with the files that it loads. */
export interface Page {
  /** The document, which names its files by `version`. */
  html: Buffer
  /** 16 hexadecimal digits of the SHA-256 of all files: another file is another version. */
  version: string
  /** The files by path below the version, without the document. */
  files: ReadonlyMap<string, PageFile>
  /** Headers of the document and of its files. */
  headers: Record<string, string>
}

const DOCUMENT = 'index.html'

const TYPES: Record<string, string> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * Reads a page: `index.html` of a folder, and the scripts, styles and pictures in the folder.
 * In the document, `{version}` becomes the version.
 * @param more further files by path, such as modules of packages
 */
export function readPage(folder: URL, more: ReadonlyMap<string, PageFile> = new Map()): Page {
  const html = readFileSync(new URL(DOCUMENT, folder), 'utf8')
  const files = new Map(
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((path) => TYPES[extname(path)] !== undefined)
      .map((path) => path.split(sep).join('/'))
      .sort()
      .map((path) => [path, readFile(new URL(path, folder), path)]),
  )
  for (const [path, file] of more) files.set(path, file)
  const hash = createHash('sha256').update(html)
  for (const [path, { bytes }] of files) hash.update(`\0${path}\0${bytes.length}\0`).update(bytes)
  const version = hash.digest('hex').slice(0, 16)
  const text = html.replaceAll('{version}', version)
  return { html: Buffer.from(text), version, files, headers: headersOf(text) }
}

/** Reads a file; the end of `path` tells the media type. */
export function readFile(url: URL, path: string): PageFile {
  return { type: TYPES[extname(path)]!, bytes: readFileSync(url) }
}

/** Returns a script that is no file. */
export function scriptFile(text: string): PageFile {
  return { type: TYPES['.js']!, bytes: Buffer.from(text) }
}

/**
 * Only files of the gateway run and load, no page of anybody else frames this one, and no text becomes
 * markup. An import map is the one script that a document may hold: the policy names its hash.
 */
function headersOf(html: string): Record<string, string> {
  const maps = [...html.matchAll(/<script type="importmap">([^<]*)<\/script>/g)]
  const hashes = maps.map(
    ([, text]) => ` 'sha256-${createHash('sha256').update(text!).digest('base64')}'`,
  )
  return {
    'content-security-policy': [
      "default-src 'none'",
      `script-src 'self'${hashes.join('')}`,
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
}
