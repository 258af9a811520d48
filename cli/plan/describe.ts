import { someOf } from '../../lib/common/shown.ts'
import type { Line } from '../fleet/state.ts'
import { printable, type Styles } from '../terminal/style.ts'

const MAX_NAMES = 6

/** What each lock of a plan keeps others from (PostgreSQL manual, "Table-Level Locks"). */
const LOCKS: Record<string, string> = {
  AccessExclusive: 'blocks reads and writes',
  Exclusive: 'blocks writes',
  ShareRowExclusive: 'blocks writes',
  Share: 'blocks writes',
}

/** Plans that are alike, and the databases that they are for. */
interface Group {
  databases: string[]
  plan: Line
}

/** Groups the plans of a dry run that are the same, in their order. */
export function groupPlans(plans: Line[]): Group[] {
  const groups = new Map<string, Group>()
  for (const plan of plans) {
    const { database, execution_time_ms: _, ...rest } = plan
    const key = JSON.stringify(rest)
    const group = groups.get(key)
    if (group) group.databases.push(database)
    else groups.set(key, { databases: [database], plan })
  }
  return [...groups.values()]
}

/** Whether a plan changes nothing. */
export function isEmpty(plan: Line): boolean {
  return filledSections(plan).length === 0
}

/** Describes what a deploy would do in a group of databases. */
export function describeGroup({ databases, plan }: Group, style: Styles): string {
  const { bold, dim, green, red, yellow } = style
  const inks = { '+': green, '-': red, '~': yellow, '!': red, '·': dim } as const
  const lines = [bold(printable(someOf(databases, MAX_NAMES)))]
  const sections = filledSections(plan)
  for (const [title, entries] of sections) {
    lines.push(`  ${title}`)
    for (const [mark, text] of entries) lines.push(`    ${inks[mark](mark)} ${printable(text)}`)
  }
  if (sections.length === 0) lines.push(dim('  nothing to do'))
  else if (plan.locks.length > 0) {
    lines.push('  Locks')
    for (const { table, lock } of plan.locks) {
      const what = LOCKS[lock] ? `${lock}: ${LOCKS[lock]}` : lock
      lines.push(`    ${dim('·')} ${printable(table)}  ${dim(what)}`)
    }
  }
  for (const warning of plan.warnings) lines.push(`  ${yellow('!')} ${printable(warning)}`)
  return lines.join('\n')
}

type Mark = '+' | '-' | '~' | '!' | '·'
type Entry = [mark: Mark, text: string]
type Section = [title: string, entries: Entry[]]

/** What a plan does, by section; those with nothing to do are left out. */
function filledSections(plan: Line): Section[] {
  return sectionsOf(plan).filter(([, entries]) => entries.length > 0)
}

function sectionsOf(plan: Line): Section[] {
  const all = (mark: Mark, names: string[]): Entry[] => names.map((name) => [mark, name])
  const code = (part: Line): Entry[] => [
    ...all('+', part.create ?? []),
    ...all('~', part.change),
    ...all('-', part.drop),
  ]
  const notRun = plan.migrations_not_run.map(
    (name: string): Entry => ['+', `${name}  (no-transaction: not tried)`],
  )
  const tried = plan.pending_migrations.filter(
    (name: string) => !plan.migrations_not_run.includes(name),
  )
  return [
    [
      'Migrations',
      [
        ...all('+', tried),
        ...notRun,
        ...plan.migrations_repaired.map((name: string): Entry => ['~', `${name}  (recorded)`]),
      ],
    ],
    ['Types', all('~', plan.types)],
    ['Tables', [...all('+', plan.tables_created), ...plan.table_changes.map(describeChange)]],
    ['Functions', code(plan.functions)],
    ['Views', code(plan.views)],
    ['Triggers and policies', code(plan.others)],
    ['Seeders', all('+', plan.pending_seeders)],
  ]
}

function describeChange({ table, column, change, class: kind, from, to }: Line): Entry {
  const what = column === null ? table : `${table}.${column}`
  const values = [from, to].filter((value) => value !== null).join(' → ')
  const mark: Mark = kind === 'data_loss' ? '!' : kind === 'safe' ? '+' : '~'
  const note = kind === 'safe' ? '' : `  (${kind})`
  return [mark, `${what}  ${change.replaceAll('_', ' ')}${values && `  ${values}`}${note}`]
}
