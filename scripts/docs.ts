import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ALERTS } from '../lib/alerts/alert.ts'
import type { Setting } from '../lib/config/setting.ts'
import { SECTIONS, type SettingSection } from '../lib/config/settings.ts'
import { CODES } from '../lib/errors.ts'
import { loadRoutes, type Route } from '../lib/http/routes.ts'
import { type Definition, METRICS } from '../lib/metrics/definitions.ts'
import { PROCESS_METRICS } from '../lib/metrics/process-definitions.ts'

/**
 * Writes the tables of docs/ and the file .env.example, which are made from the code: `npm run docs`.
 * With `--check` it writes nothing and fails where a file differs.
 */

const PROJECT = join(import.meta.dirname, '..')

/** A file that is made from the code, or has a part that is. */
interface Document {
  /** From the folder of the project. */
  path: string
  /** The text that the file should have; `text` is the present one, '' where there is none. */
  make: (text: string) => string
}

/** A row of a table in Markdown. */
function row(cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function table(heads: string[], rows: string[][]): string {
  return [row(heads), row(heads.map(() => '---')), ...rows.map(row)].join('\n')
}

const COUNT = new Intl.NumberFormat('en-US')

const MEBIBYTE = 1024 * 1024

function sizeOf(setting: Setting<unknown>): string {
  const size = Number(setting.default)
  return setting.kind === 'bytes' ? ` (${size / MEBIBYTE} MiB)` : ''
}

/** Its default, in Markdown. */
function defaultOf(setting: Setting<unknown>): string {
  if (setting.default !== undefined) return `\`${setting.default}\`${sizeOf(setting)}`
  return setting.none ?? 'none'
}

/** What happens at the limits of its value. */
function limitsOf({ range, edge, restart }: Setting<unknown>): string {
  const ends = range && `${COUNT.format(range[0])} to ${COUNT.format(range[1])}.`
  return [ends, edge, restart && 'Needs a restart.'].filter(Boolean).join(' ')
}

/** The tables of docs/settings.md, one for each section. */
function settingsTable(sections: SettingSection[]): string {
  const heads = ['name', 'default', 'unit or values', 'what it does', 'limits']
  return sections
    .map(({ title, settings }) => {
      const rows = settings.map((one) => [
        `\`${one.name}\``,
        defaultOf(one),
        one.kind,
        one.about,
        limitsOf(one),
      ])
      return `### ${title}\n\n${table(heads, rows)}`
    })
    .join('\n\n')
}

function codesTable(): string {
  const codes = Object.entries(CODES).sort(([, [one]], [, [other]]) => one - other)
  const rows = codes.map(([code, [status, meaning]]) => [String(status), `\`${code}\``, meaning])
  return table(['status', 'error', 'meaning'], rows)
}

/** A table of docs/metrics.md. */
function metricsTable(metrics: Record<string, Definition>): string {
  const rows = Object.entries(metrics).map(([name, { type, labels, help, alert = '' }]) => [
    `\`${name}\``,
    type,
    labels.join(', '),
    help,
    alert,
  ])
  return table(['name', 'type', 'labels', 'meaning', 'alert'], rows)
}

/** The table of docs/alerts.md. */
function alertsTable(): string {
  const rows = Object.entries(ALERTS).map(([type, [severity, about]]) => [
    `\`${type}\``,
    severity,
    about,
  ])
  return table(['type', 'severity', 'what has happened'], rows)
}

/** The table of docs/endpoints.md. */
function endpointsTable(routes: Route[]): string {
  const key = ({ path, method }: Route) => `${path} ${method}`
  const sorted = routes.toSorted((one, other) => (key(one) < key(other) ? -1 : 1))
  const rows = sorted.map(({ method, path, access, token, description = '' }) => {
    const isByPlatform = access === 'admin' && token === 'platform'
    const who = isByPlatform ? "admin, with the platform's token" : access
    return [method, `\`${path.replaceAll(/:(\w+)/g, '{$1}')}\``, who, description]
  })
  return table(['method', 'path', 'access', 'what it does'], rows)
}

/** Lines of at most 98 characters, each behind `# `. */
function comment(text: string): string {
  const lines: string[] = []
  let line = '#'
  for (const word of text.replaceAll('`', '').split(' ')) {
    if (line.length + 1 + word.length > 98) {
      lines.push(line)
      line = '#'
    }
    line += ` ${word}`
  }
  return [...lines, line].join('\n')
}

function example(setting: Setting<unknown>): string {
  const { name, kind, about, none = 'none' } = setting
  const limits = limitsOf(setting)
  const unit = kind[0]!.toUpperCase() + kind.slice(1)
  const lines = [about, setting.range ? `${unit}, ${limits}` : `${unit}. ${limits}`]
  if (setting.default === undefined) lines.push(`Default: ${none}.`)
  const comments = lines.map((line) => comment(line.trim()))
  return [...comments, `#${name}=${setting.default ?? setting.example ?? ''}\n`].join('\n')
}

/** The text of .env.example. */
function environmentExample(): string {
  const head = comment(
    'Every setting of the gateway with its default. None is required. The gateway reads them from the environment and from a .env file in the working folder; the environment wins. A setting that does not parse stops the start with one line that names it. `npm run docs` writes this file.',
  )
  const sections = SECTIONS.map(
    ({ title, settings }) => `## ${title}\n\n${settings.map(example).join('\n')}`,
  )
  return `${head}\n\n${sections.join('\n')}`
}

/** Puts a table between `<!-- name -->` and `<!-- /name -->`; a page without them gets them at its end. */
export function putBetween(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const part = `${begin}\n\n${content}\n\n${end}`
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from === -1 || to < from) return `${text}${text === '' ? '' : '\n'}${part}\n`
  return text.slice(0, from) + part + text.slice(to + end.length)
}

/** A page with a table; it begins with a heading where there is no page yet. */
function page(path: string, heading: string, name: string, content: string): Document {
  return { path, make: (text) => putBetween(text || `# ${heading}\n`, name, content) }
}

/** Every file that is made from the code. */
async function documents(): Promise<Document[]> {
  const routes = await loadRoutes(join(PROJECT, 'handlers'))
  return [
    page('docs/settings.md', 'Settings', 'settings', settingsTable(SECTIONS)),
    page('docs/errors.md', 'Errors', 'codes', codesTable()),
    page('docs/endpoints.md', 'Endpoints', 'endpoints', endpointsTable(routes)),
    page('docs/alerts.md', 'Alerts', 'alerts', alertsTable()),
    page('docs/metrics.md', 'Metrics', 'metrics', metricsTable(METRICS)),
    page('docs/metrics.md', 'Metrics', 'process', metricsTable(PROCESS_METRICS)),
    { path: '.env.example', make: environmentExample },
  ]
}

/** The paths of the documents below `folder` whose text is not what it should be; `write` mends them. */
export async function updateDocuments(folder: string, write: boolean): Promise<string[]> {
  const outdated: string[] = []
  for (const { path, make } of await documents()) {
    const file = join(folder, path)
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    const wanted = make(text)
    if (wanted === text) continue
    outdated.push(path)
    if (write) writeFileSync(file, wanted)
  }
  return outdated
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
  const isCheck = values.check
  const outdated = await updateDocuments(PROJECT, !isCheck)
  for (const path of outdated) {
    console.log(isCheck ? `${path} differs from the code: npm run docs` : `${path} written`)
  }
  process.exitCode = isCheck && outdated.length > 0 ? 1 : 0
}
