import type { TestResult } from '../../lib/sql-tests/run-test.ts'
import type { SuiteResult } from '../../lib/sql-tests/suite.ts'
import { brief, describePlace } from '../terminal/failure.ts'
import { printable, type Styles } from '../terminal/style.ts'
import { count, duration } from '../terminal/words.ts'

/** Describes what became of a test: a line, and below it why it failed. */
export function describeResult(
  { path, ms, failure, tap, notices }: TestResult,
  style: Styles,
): string {
  const { bold, dim, green, red } = style
  const assertions = tap ? `, ${count(tap.passed + tap.failed.length, 'assertion')}` : ''
  const head = `${failure ? red('✗') : green('✓')} ${bold(printable(path))} ${dim(`(${duration(ms)}${assertions})`)}`
  if (!failure) return head
  const { message, detail, hint, ...place } = failure
  const lines = [
    head,
    ...brief(message)
      .split('\n')
      .map((line) => `  ${red(printable(line))}`),
  ]
  if (place.line !== undefined) lines.push(...describePlace({ ...place }, style))
  if (detail) lines.push(`  ${dim('detail:')} ${printable(detail)}`)
  if (hint) lines.push(`  ${dim('hint:')} ${printable(hint)}`)
  for (const notice of notices) lines.push(`  ${dim(printable(notice))}`)
  return lines.join('\n')
}

/** Describes the run: how many tests passed, and which functions were not called. */
export function describeSuite(
  { results, coverage, coverageHint, notRun }: SuiteResult,
  style: Styles,
): string {
  const failed = results.filter(({ failure }) => failure).length
  const ink = failed > 0 || notRun.length > 0 ? style.red : style.green
  const counts = [
    `${count(results.length - failed, 'test')} passed`,
    failed > 0 && `${failed} failed`,
    notRun.length > 0 && `${notRun.length} not run`,
  ]
  const lines = [ink(counts.filter(Boolean).join(', '))]
  if (coverage) {
    const all = coverage.called.length + coverage.missed.length
    const missed = coverage.missed.length > 0 ? `; not called: ${coverage.missed.join(', ')}` : ''
    if (all > 0)
      lines.push(
        `${coverage.called.length} of ${count(all, 'function')} called${printable(missed)}`,
      )
  }
  if (coverageHint) {
    const how = `a superuser has to run "${coverageHint}" first`
    lines.push(style.dim(printable(`Which functions were called is not known: ${how}`)))
  }
  return lines.join('\n')
}

/** Returns the run for scripts. */
export function jsonOf({ results, coverage, warnings, notRun }: SuiteResult): object {
  return {
    results: results.map(({ called: _, failure, tap, ...rest }) => ({
      ...rest,
      status: failure ? 'failed' : 'passed',
      ...(failure && { failure }),
      ...(tap && { assertions: tap.passed + tap.failed.length }),
    })),
    ...(coverage && { coverage }),
    warnings,
    not_run: notRun,
  }
}
