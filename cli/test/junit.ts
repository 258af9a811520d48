import type { SuiteResult } from '../../lib/sql-tests/suite.ts'

/** Returns a run of tests as JUnit's XML, which CI systems read. */
export function junitOf({ results, notRun }: SuiteResult, name: string): string {
  const failed = results.filter(({ failure }) => failure).length
  const ms = results.reduce((sum, one) => sum + one.ms, 0)
  const cases = results.map(({ path, ms, failure, notices }) => {
    const open = `    <testcase ${attributes({ name: path, classname: name, file: path, time: seconds(ms) })}`
    const out = notices.length > 0 ? `<system-out>${escaped(notices.join('\n'))}</system-out>` : ''
    if (!failure) return out ? `${open}>${out}</testcase>\n` : `${open}/>\n`
    const { message, file, line, detail, hint, context } = failure
    const place = line === undefined ? file : `${file}:${line}`
    const text = [place, detail, hint, context].filter(Boolean).join('\n')
    return `${open}><failure ${attributes({ message })}>${escaped(text)}</failure>${out}</testcase>\n`
  })
  const skipped = notRun.map(
    (path) =>
      `    <testcase ${attributes({ name: path, classname: name })}><skipped/></testcase>\n`,
  )
  const counts = {
    name,
    tests: String(results.length + notRun.length),
    failures: String(failed),
    skipped: String(notRun.length),
    time: seconds(ms),
  }
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite ${attributes(counts)}>
${[...cases, ...skipped].join('')}  </testsuite>
</testsuites>
`
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3)
}

function attributes(values: Record<string, string>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${escaped(value).replaceAll('\n', '&#10;')}"`)
    .join(' ')
}

/** XML 1.0 takes no control characters but tab and line ends. */
function escaped(text: string): string {
  return text
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '�')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
