import { printable, type Styles } from './style.ts'
import { count } from './words.ts'

type Body = Record<string, unknown>

/**
 * Describes an error of the gateway: the message, PostgreSQL's words, and where in the archive it
 * is: file, line, and a caret under the place.
 */
export function describeFailure(body: Body, style: Styles): string {
  const lines = [
    headline(body, style),
    ...placesOf(body).flatMap((one) => describePlace(one, style)),
  ]
  const cause = causeOf(body)
  if (cause && cause !== body.message && !hasCause(body)) lines.push(`  ${printable(cause)}`)
  for (const name of ['detail', 'hint'] as const) {
    const text = textOf(body[name])
    if (text) lines.push(`  ${style.dim(`${name}:`)} ${printable(text)}`)
  }
  lines.push(...bodiesOf(body.losses).map((one) => `  - ${describeLoss(one)}`))
  return lines.join('\n')
}

/** Describes one place of an error: file and line, the cause, the source and a caret. */
export function describePlace(place: Body, { cyan, dim, red }: Styles): string[] {
  const file = textOf(place.file)
  if (!file) return []
  const line = typeof place.line === 'number' ? `:${place.line}` : ''
  const cause = causeOf(place)
  const lines = [`  ${cyan(printable(file + line))}${cause ? `  ${printable(cause)}` : ''}`]
  const source = textOf(place.source)
  if (source !== undefined && typeof place.line === 'number') {
    const number = String(place.line)
    lines.push(`  ${dim(`${number} |`)} ${printable(source)}`)
    const caret = textOf(place.caret)
    if (caret) lines.push(`  ${dim(`${' '.repeat(number.length)} |`)} ${red(printable(caret))}`)
  }
  return lines
}

/** Returns the places that an error names: those of all failures, or its own. */
function placesOf(body: Body): Body[] {
  const failures = bodiesOf(body.failures)
  return failures.length > 0 ? failures : [body]
}

/** Returns the objects of a list; what a proxy has answered may have anything there. */
function bodiesOf(value: unknown): Body[] {
  const list: unknown[] = Array.isArray(value) ? value : []
  return list.filter((one): one is Body => typeof one === 'object' && one !== null)
}

function hasCause(body: Body): boolean {
  return placesOf(body).some((one) => textOf(one.file) !== undefined)
}

function headline({ error, message, database }: Body, { bold, red }: Styles): string {
  const where = textOf(database)
  const text = printable(brief(String(message)))
  const isSaid = where === undefined || text.includes(where)
  return `${red(bold(printable(String(error))))}: ${text}${isSaid ? '' : ` (${printable(where)})`}`
}

/** Describes a loss: file and line, what is lost, and how many rows have it. */
export function describeLoss(loss: Body): string {
  const { table, column, change, rows, more_rows: hasMore, file, line } = loss
  const where = file === undefined ? '' : `${file}:${line}  `
  const what = column ? `${table}.${column}` : String(table)
  const many = typeof rows === 'number' ? `  ${count(rows, 'row')}${hasMore ? ' or more' : ''}` : ''
  return printable(`${where}${what}  ${String(change).replaceAll('_', ' ')}${many}`)
}

function causeOf({ cause }: Body): string | undefined {
  const text = textOf(cause)
  return text && firstCause(text)
}

/** Returns PostgreSQL's message in a cause, without the detail and the hint that follow it. */
export function firstCause(cause: string): string {
  return brief(cause.split(' | ')[0]!)
}

const LONGEST = 1000

/** Returns a message without most of a word of any length that it repeats. */
export function brief(message: string): string {
  return message.length > LONGEST ? `${message.slice(0, LONGEST)}…` : message
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
