import type { SchemaFile } from '../archive/archive.ts'
import { directiveWarnings, numberOf } from '../deploy/plan/migrations.ts'
import { isWayBack } from '../deploy/plan/way-back.ts'
import { type Finding, placed } from './finding.ts'

/** Returns the migrations whose order does not follow from their numbers. */
export function orderFindings(files: SchemaFile[]): Finding[] {
  const names = new Set(files.map(({ name }) => name))
  const forward = files.filter((file) => !isWayBack(file, names))
  const first = new Map<string, string>()
  return forward.flatMap((file): Finding[] => {
    const found = (message: string, advice: string) =>
      placed(file, { rule: 'order', offset: 0, message, advice })
    const number = numberOf(file.name)
    if (number === undefined) {
      const advice = 'Begin its name with the next number'
      return [found('A migration without a number runs after all others', advice)]
    }
    const other = first.get(number)
    first.set(number, other ?? file.name)
    if (other === undefined) return []
    const advice = 'Give it the next number, if it has run nowhere yet'
    return [found(`It has the number of ${other}: the two run in the order of their names`, advice)]
  })
}

/** Returns the lines of migrations that are meant for a directive and are none. */
export function directiveFindings(files: SchemaFile[]): Finding[] {
  return files.flatMap((file) =>
    directiveWarnings(file).map((warning) => {
      const message = warning.slice(warning.indexOf(': ') + 2)
      const written = /^"([^"]+)"/.exec(message)?.[1] ?? '-- gateway:'
      const at = file.text.indexOf(written.replace(/…$/, ''))
      return placed(file, {
        rule: 'directive',
        offset: Math.max(at, file.text.search(/--\s*gateway\s*:/i), 0),
        message,
        advice:
          'The directives are "-- gateway: no-transaction" and "-- gateway: allow-data-loss", before the first statement',
      })
    }),
  )
}
