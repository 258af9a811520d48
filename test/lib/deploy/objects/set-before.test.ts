import { expect, test } from 'vitest'
import { namedIn } from '../../../../lib/deploy/objects/set-before.ts'

const OBJECTS = [
  { kind: 'view', name: 'sizes' },
  { kind: 'view', name: 'sizes_of' },
  { kind: 'view', name: 'Größen' },
  { kind: 'policy', name: 'mine' },
  { kind: 'function', name: 'a' },
] as const

const named = (words: string) => namedIn(words, [...OBJECTS]).map(({ name }) => name)

test.each([
  ['rule _RETURN on view sizes depends on column "a"', ['sizes']],
  ['view app.sizes_of depends on view sizes', ['sizes', 'sizes_of']],
  ['policy mine on table t depends on column "a"', ['mine']],
  ['view other depends on column a of table t', []],
])('the objects that an error names: %s', (words, names) => {
  expect(named(words)).toEqual(names)
})

test.each([
  ['Regel _RETURN für Sicht sizes hängt von Spalte »b« ab', ['sizes']],
  ['Sicht app."Größen" hängt von Spalte b von Tabelle t ab', ['Größen']],
  ['la règle _RETURN sur vue sizes_of dépend de colonne « b »', ['sizes_of']],
])('with other lc_messages: %s', (words, names) => {
  expect(named(words)).toEqual(names)
})
