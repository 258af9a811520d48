import { expect, test } from 'vitest'
import { bigintsOf, mixedColumns } from '../../../lib/description/bigints.ts'
import type { DescribedFunction, Description } from '../../../lib/description/description.ts'
import { toBigints } from '../../../lib/typescript-client/client/values.ts'

const types = new Map(
  ['bigint', 'text'].map((name) => [name, { name, kind: 'base' }]),
) as unknown as Description['types']

const withColumns = (columns: Record<string, string> | undefined) =>
  ({
    columns: columns && Object.entries(columns).map(([name, type]) => ({ name, type })),
  }) as DescribedFunction

test('Overloads with other columns leave rows without the column as they are', () => {
  const overloads = [withColumns({ id: 'bigint' }), withColumns({ name: 'text' })]
  const bigints = bigintsOf(overloads, types)!
  expect(bigints).toEqual({ id: 1 })
  expect(toBigints([{ id: '7' }], bigints)).toEqual([{ id: 7n }])
  expect(toBigints([{ name: 'x' }], bigints)).toEqual([{ name: 'x' }])
})

test('A column is not converted where an overload may have it as another type', () => {
  for (const other of [withColumns({ id: 'text' }), withColumns(undefined)]) {
    const overloads = [withColumns({ id: 'bigint' }), other]
    expect([...mixedColumns(overloads, types)]).toEqual(['id'])
    expect(bigintsOf(overloads, types)).toBeUndefined()
  }
})
