/**
 * The folders of a schema, in the order in which a deploy runs them. Functions and views are
 * deployed together.
 */
export const SECTIONS = [
  'schemas',
  'extensions',
  'types',
  'migrations',
  'tables',
  'functions',
  'views',
  'triggers',
  'policies',
  'seeders',
] as const

/** A folder of a schema. */
export type Section = (typeof SECTIONS)[number]

/** The sections whose objects a deploy replaces and drops: their files run again when they change. */
export const CODE_SECTIONS = ['functions', 'views', 'triggers', 'policies'] as const

/** Returns whether `name` is the name of a section; case matters. */
export function isSection(name: string | undefined): name is Section {
  return (SECTIONS as readonly (string | undefined)[]).includes(name)
}
