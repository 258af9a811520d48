import fc from 'fast-check'
import type { Files } from '../../helpers/platforms.ts'
import { type Fn, filesOf, type Model, triggerOf } from './files.ts'

/** A step of a release: what is done, and to which of the things there are. */
export interface Step {
  what: (typeof STEPS)[number]
  a: number
  b: number
}

const STEPS = [
  'table',
  'column',
  'rename column',
  'widen column',
  'drop column',
  'enum',
  'enum value',
  'function',
  'function body',
  'function parameter',
  'function result',
  'drop function',
  'move function',
  'view',
  'view column',
  'drop view',
  'trigger',
  'trigger of a migration',
  'drop trigger',
  'grant',
  'comment',
] as const

/** Releases, each of a few steps. */
export const histories: fc.Arbitrary<Step[][]> = fc.array(
  fc.array(
    fc.record({
      what: fc.constantFrom(...STEPS),
      a: fc.nat({ max: 20 }),
      b: fc.nat({ max: 20 }),
    }),
    { minLength: 1, maxLength: 5 },
  ),
  { minLength: 2, maxLength: 5 },
)

interface State extends Model {
  /** Statements of the release's migration. */
  statements: string[]
  count: number
}

/** The archives of a history, one a release, each with all files. */
export function archivesOf(history: Step[][]): Files[] {
  const state: State = {
    tables: [],
    enums: new Map(),
    functions: [],
    views: [],
    statements: [],
    count: 0,
  }
  const migrations: Files = {}
  return history.map((steps, release) => {
    state.statements = []
    // A release has a table at least: an archive without files is none.
    if (release === 0) apply(state, { what: 'table', a: 0, b: 0 })
    for (const step of steps) apply(state, step)
    if (state.statements.length > 0) {
      const number = String(release + 1).padStart(3, '0')
      migrations[`migrations/${number}_release.pssql`] = `${state.statements.join(';\n')};\n`
    }
    return { ...migrations, ...filesOf(state) }
  })
}

function pick<T>(list: T[], index: number): T | undefined {
  return list[index % Math.max(list.length, 1)]
}

function apply(state: State, { what, a, b }: Step): void {
  const { tables, enums, functions, views, statements } = state
  const n = ++state.count
  const table = pick(tables, a)
  const fn = pick(functions, a)
  const view = pick(views, a)
  const column = table && pick(table.columns.slice(1), b)
  const isSeen = views.some((one) => one.table === table?.name)
  switch (what) {
    case 'table':
      tables.push({
        name: `t${n}`,
        columns: [
          { name: 'id', type: 'integer', isEnum: false },
          { name: `c${n}`, type: 'integer', isEnum: false },
        ],
        trigger: 'none',
      })
      statements.push(`create table t${n} (id integer primary key, c${n} integer default ${b})`)
      return
    case 'column': {
      if (!table) return
      const type = pick([...enums.keys()], b)
      const last = type && enums.get(type)?.at(-1)
      table.columns.push({ name: `c${n}`, type: type ?? 'text', isEnum: type !== undefined })
      statements.push(
        `alter table ${table.name} add column c${n} ${type ?? 'text'} default '${last ?? 'x'}'`,
      )
      return
    }
    case 'rename column':
      if (!table || !column) return
      statements.push(`alter table ${table.name} rename column ${column.name} to r${n}`)
      column.name = `r${n}`
      return
    case 'widen column':
      if (!table || column?.type !== 'integer' || isSeen) return
      statements.push(`alter table ${table.name} alter column ${column.name} type bigint`)
      column.type = 'bigint'
      return
    case 'drop column':
      if (!table || !column || isSeen || table.columns.length < 3) return
      statements.push(`alter table ${table.name} drop column ${column.name}`)
      table.columns.splice(table.columns.indexOf(column), 1)
      return
    case 'enum':
      enums.set(`e${n}`, ['one', 'two'])
      return
    case 'enum value':
      pick([...enums.values()], a)?.push(`v${n}`)
      return
    case 'function':
      if (!table) return
      functions.push({
        name: `f${n}`,
        table: table.name,
        kind: pick(
          ['insert', 'rows', 'count', 'calls', 'atomic'] as const as unknown as Fn['kind'][],
          b,
        )!,
        version: 1,
        parameter: 'p',
        result: 'bigint',
        folder: '',
        grants: [],
        comment: '',
      })
      return
    case 'function body':
      if (fn) fn.version++
      return
    case 'function parameter':
      if (fn) fn.parameter = `p${n}`
      return
    case 'function result':
      if (fn) fn.result = pick(['bigint', 'integer', 'text'] as Fn['result'][], b)!
      return
    case 'drop function':
      if (functions.length > 3) functions.splice(a % functions.length, 1)
      return
    case 'move function':
      if (fn) fn.folder = `d${n}/`
      return
    case 'view':
      if (table) views.push({ name: `v${n}`, table: table.name, above: b % 2 === 0, extra: 0 })
      return
    case 'view column':
      if (view) view.extra++
      return
    case 'drop view':
      if (views.length > 1) views.splice(a % views.length, 1)
      return
    case 'trigger':
      if (table?.trigger === 'none') table.trigger = 'file'
      return
    case 'trigger of a migration':
      if (table?.trigger !== 'none') return
      table.trigger = 'migration'
      statements.push(triggerOf(table))
      return
    case 'drop trigger':
      if (table?.trigger === 'file') table.trigger = 'none'
      return
    case 'grant':
      fn?.grants.push(b % 2 === 0 ? 'revoke execute on function' : 'grant execute on function')
      return
    case 'comment':
      if (fn && b % 2 === 0) fn.comment = `comment ${n}`
      else if (table) statements.push(`comment on table ${table.name} is 'comment ${n}'`)
      return
  }
}
