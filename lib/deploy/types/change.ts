import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'

import { displayName } from './existing.ts'
import type { TypeState } from './state.ts'
import type { TypeKind } from './syntax.ts'

/** The statements that change a type to its declaration, or the reason why that is impossible. */
export type Change = { statements: string[] } | { refusal: string }

/** Compares an existing type with the declaration in its file. */
export function changeOf(kind: TypeKind, actual: TypeState, declared: TypeState): Change {
  const change = compare(kind, actual, declared)
  if ('statements' in change) return change
  return { refusal: `${kind} ${displayName(actual)}: ${change.refusal}` }
}

function compare(kind: TypeKind, actual: TypeState, declared: TypeState): Change {
  if (kind === 'enum') return changeOfEnum(actual, declared)
  if (kind === 'composite type') return changeOfComposite(actual, declared)
  return changeOfDomain(actual, declared)
}

/** PostgreSQL can add values to an enum at any position; it can neither remove nor move them. */
function changeOfEnum(actual: TypeState, declared: TypeState): Change {
  const removed = actual.labels.filter((label) => !declared.labels.includes(label))
  if (removed.length > 0) {
    const values = removed.length === 1 ? 'value' : 'values'
    return { refusal: `PostgreSQL cannot remove the ${values} ${list(removed)}` }
  }
  const kept = declared.labels.filter((label) => actual.labels.includes(label))
  if (kept.join('\0') !== actual.labels.join('\0')) {
    return { refusal: `PostgreSQL cannot change the order of its values, ${list(actual.labels)}` }
  }
  const [first] = actual.labels
  return {
    statements: declared.labels.flatMap((label, i) => {
      if (actual.labels.includes(label)) return []
      const before = declared.labels[i - 1]
      return (
        `alter type ${sqlName(actual)} add value ${quoteLiteral(label)}` +
        (before !== undefined ? ` after ${quoteLiteral(before)}` : '') +
        (before === undefined && first !== undefined ? ` before ${quoteLiteral(first)}` : '')
      )
    }),
  }
}

/**
 * Attributes can only be added at the end: existing rows, and code with `row(…)`, depend on their
 * order. Removed or retyped attributes may hold data.
 */
function changeOfComposite(actual: TypeState, declared: TypeState): Change {
  const names = declared.attributes.map(({ name }) => name)
  const removed = actual.attributes.filter(({ name }) => !names.includes(name))
  if (removed.length > 0) {
    const gone = list(removed.map(({ name }) => name))
    return {
      refusal: `the file no longer has ${gone}; attributes are neither removed nor renamed`,
    }
  }
  for (const [i, { name, type }] of actual.attributes.entries()) {
    const now = declared.attributes.find((attribute) => attribute.name === name)
    if (now?.type !== type) {
      return {
        refusal: `the attribute "${name}" is ${type} and would become ${now?.type}; attributes keep their type`,
      }
    }
    const here = declared.attributes[i]?.name
    if (here !== name) {
      return {
        refusal: `the file has "${here}" in the place of "${name}"; attributes keep their order and new ones come last`,
      }
    }
  }
  const added = declared.attributes.slice(actual.attributes.length)
  return {
    statements: added.map(
      ({ name, type }) =>
        `alter type ${sqlName(actual)} add attribute ${quoteIdentifier(name)} ${type}`,
    ),
  }
}

/** PostgreSQL can change everything about a domain except its base type. */
function changeOfDomain(actual: TypeState, declared: TypeState): Change {
  if (actual.base !== declared.base) {
    return {
      refusal: `its base type is ${actual.base}, and PostgreSQL cannot change it to ${declared.base}`,
    }
  }
  const alter = `alter domain ${sqlName(actual)}`
  const isIn = ({ checks }: TypeState) => {
    const known = new Set(checks.map(({ name, definition }) => `${name}\0${definition}`))
    return ({ name, definition }: TypeState['checks'][number]) =>
      known.has(`${name}\0${definition}`)
  }
  const isDeclared = isIn(declared)
  const isActual = isIn(actual)
  const statements = [
    ...actual.checks
      .filter((check) => !isDeclared(check))
      .map(({ name }) => `${alter} drop constraint ${quoteIdentifier(name)}`),
    ...declared.checks
      .filter((check) => !isActual(check))
      .map(
        ({ name, definition }) => `${alter} add constraint ${quoteIdentifier(name)} ${definition}`,
      ),
  ]
  if (actual.default !== declared.default) {
    const isDropped = declared.default === null
    statements.push(
      isDropped ? `${alter} drop default` : `${alter} set default ${declared.default}`,
    )
  }
  if (actual.isNotNull !== declared.isNotNull) {
    statements.push(`${alter} ${declared.isNotNull ? 'set' : 'drop'} not null`)
  }
  return { statements }
}

function sqlName({ schema, name }: TypeState): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`
}

function list(names: string[]): string {
  return names.map((name) => `"${name}"`).join(', ')
}
