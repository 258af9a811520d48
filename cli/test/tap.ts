import type { TestResult } from '../../lib/sql-tests/run-test.ts'

/** Returns the line of a test in the Test Anything Protocol 14, with a YAML block if it failed. */
export function tapOf({ path, ms, failure }: TestResult, number: number): string {
  const line = `${failure ? 'not ok' : 'ok'} ${number} - ${path.replaceAll('#', '\\#')}`
  if (!failure) return `${line} # time=${ms}ms\n`
  const { message, file, line: at, detail, hint } = failure
  // A JSON text is YAML.
  const block = {
    message,
    at: at === undefined ? file : `${file}:${at}`,
    detail,
    hint,
    duration_ms: ms,
  }
  const members = Object.entries(block)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `  ${name}: ${JSON.stringify(value)}\n`)
  return `${line}\n  ---\n${members.join('')}  ...\n`
}
