import { someOf } from '../../lib/common/shown.ts'
import { describeLoss, describePlace } from '../terminal/failure.ts'
import { printable, type Styles } from '../terminal/style.ts'
import { count, duration, listed, short } from '../terminal/words.ts'
import type { Line } from './state.ts'

const MAX_NAMES = 8

/** What is refused by these is refused again. */
const HOPELESS = ['database_not_found', 'invalid_request']

/** Describes the end of a fleet: what was done, or what failed, what is left, and what to run next. */
export function describeEnd(end: Line, again: string, style: Styles): string {
  return typeof end.error === 'string' ? describeError(end, again, style) : describeDone(end, style)
}

function describeDone(end: Line, { bold, dim, green, yellow }: Styles): string {
  const what = listed(
    [
      end.migrations_applied > 0 && count(end.migrations_applied, 'migration'),
      count(end.functions_updated, 'function'),
      end.skipped.length > 0 && `${end.skipped.length} skipped`,
    ],
    'nothing to do',
  )
  const took = dim(`(${duration(end.execution_time_ms)})`)
  const databases = bold(count(end.databases_updated.length, 'database'))
  const lines = [`${green('✓')} ${databases} on ${short(end.checksum)}: ${what} ${took}`]
  for (const warning of end.warnings) lines.push(`${yellow('!')} ${printable(warning)}`)
  return lines.join('\n')
}

function describeError(end: Line, again: string, style: Styles): string {
  const { bold, red, yellow } = style
  const done: string[] = end.databases_updated ?? []
  const failed: Line[] = end.failed ?? []
  const left: string[] = end.not_started ?? []
  const isStopped = end.error === 'migration_stopped' && failed.length === 0
  const head = isStopped ? yellow(bold('Stopped')) : red(bold(printable(end.error)))
  const counts = listed(
    [
      failed.length > 0 && `${failed.length} failed`,
      `${done.length} done`,
      left.length > 0 && `${left.length} not started`,
    ],
    '',
  )
  const isFleet = end.results !== undefined
  const lines = [`${head}: ${isFleet ? counts : printable(end.message)}`]
  // What was refused as a whole has no database.
  const isRefused = !isFleet && end.file === undefined && end.failures === undefined && !end.losses
  for (const group of isRefused ? [] : groupFailures(isFleet ? failed : [end])) {
    lines.push('', ...describeGroup(group, style))
  }
  if (isRefused && end.hint) lines.push(`  ${style.dim('hint:')} ${printable(String(end.hint))}`)
  if (isRefused && HOPELESS.includes(end.error)) return lines.join('\n')
  if (done.length > 0) lines.push('', `Done: ${printable(someOf(done, MAX_NAMES))}`)
  if (left.length > 0) {
    lines.push(
      ...(done.length > 0 ? [] : ['']),
      `Not started: ${printable(someOf(left, MAX_NAMES))}`,
    )
  }
  const next = adviceFor(end, again)
  return [...lines, '', bold('Next'), ...next.map((line) => `  ${printable(line)}`)].join('\n')
}

/** Failures at the same place and for the same reason are one group. */
function groupFailures(failed: Line[]): Line[][] {
  const groups = new Map<string, Line[]>()
  for (const one of failed) {
    const key = JSON.stringify([one.error, one.file, one.line, one.cause ?? one.message])
    groups.set(key, [...(groups.get(key) ?? []), one])
  }
  return [...groups.values()]
}

function describeGroup(group: Line[], style: Styles): string[] {
  const one = group[0]!
  const names = group.flatMap(({ database }) => (typeof database === 'string' ? [database] : []))
  const { cause, file, message } = one
  const places: Line[] = one.failures?.length > 0 ? one.failures : [one]
  const hasPlace = places.some((place) => place.file !== undefined)
  const said = hasPlace && file !== undefined ? '' : `: ${printable(String(message ?? cause))}`
  const lines = [
    `${style.red('✗')} ${style.bold(printable(someOf(names, MAX_NAMES)) || 'All')}${said}`,
  ]
  lines.push(...places.flatMap((place) => describePlace(place, style)))
  for (const loss of one.losses ?? []) lines.push(`  - ${describeLoss(loss)}`)
  if (one.hint) lines.push(`  ${style.dim('hint:')} ${printable(String(one.hint))}`)
  return lines
}

/** What to do about an error, by its code. */
function adviceFor(end: Line, again: string): string[] {
  const { error, results, failed = [], databases_updated: done = [] } = end
  if (error === 'data_loss') {
    return [
      `${again} --allow data_loss`,
      'or write "-- gateway: allow-data-loss" before the first statement of the file',
    ]
  }
  if (error === 'functions_missing') return [`${again} --allow functions_missing`]
  if (error === 'migration_checksum_mismatch') {
    return [
      'Write a new migration in its place, or record the new text without running it:',
      `${again} --repair`,
    ]
  }
  if (results !== undefined && failed.length === 0) return [`${again} --only-failed`]
  if (String(error).endsWith('_failed') && error !== 'connection_failed') {
    const mend = ['Mend the file. The databases that failed are as they were before. Then:', again]
    const isOfMigration = failed.some(({ file }: Line) => String(file).startsWith('migrations/'))
    // Those that are done have run it as it was, and would refuse an edited one.
    if (!isOfMigration || done.length === 0) return mend
    return [
      ...mend,
      'or, if the migration is another one now than where it has run:',
      `${again} --repair`,
    ]
  }
  return [again]
}
