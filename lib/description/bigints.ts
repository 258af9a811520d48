import type { Column, DescribedFunction, Description } from './description.ts'
import { baseOf } from './description.ts'

/** Which values are bigint: 1, an array of such, or an object with such members. */
export type BigintShape = 1 | [BigintShape] | { [name: string]: BigintShape }

/**
 * Returns which values in the rows of a function's overloads are bigint, without `mixedColumns`;
 * undefined if none is.
 */
export function bigintsOf(
  overloads: DescribedFunction[],
  types: Description['types'],
): BigintShape | undefined {
  const mixed = mixedColumns(overloads, types)
  const columns = overloads.flatMap(({ columns = [] }) => columns)
  return shapeOfColumns(
    columns.filter(({ name }) => !mixed.has(name)),
    types,
  )
}

/** Returns the columns that have bigints in one overload, and others or none in another one. */
export function mixedColumns(
  overloads: DescribedFunction[],
  types: Description['types'],
): Set<string> {
  const shapes = new Map<string, string>()
  const mixed = new Set<string>()
  // Columns that are not known may have any name.
  const isOpen = overloads.some(({ columns }) => columns === undefined)
  for (const { name, type } of overloads.flatMap(({ columns = [] }) => columns)) {
    const shape = JSON.stringify(shapeOf(type, types) ?? 0)
    if ((isOpen && shape !== '0') || (shapes.get(name) ?? shape) !== shape) mixed.add(name)
    shapes.set(name, shape)
  }
  return mixed
}

function shapeOfColumns(
  columns: Column[],
  types: Description['types'],
): { [name: string]: BigintShape } | undefined {
  const shapes = columns.flatMap(({ name, type }): [string, BigintShape][] => {
    const shape = shapeOf(type, types)
    return shape === undefined ? [] : [[name, shape]]
  })
  return shapes.length > 0 ? Object.fromEntries(shapes) : undefined
}

function shapeOf(name: string, types: Description['types']): BigintShape | undefined {
  const type = baseOf(types, name)
  if (type?.kind === 'composite') return shapeOfColumns(type.attributes!, types)
  if (type?.kind !== 'array') return type?.name === 'bigint' ? 1 : undefined
  const element = shapeOf(type.of!, types)
  return element && [element]
}
