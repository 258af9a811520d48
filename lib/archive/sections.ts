/**
 * The folders of a schema, in the order in which a deploy takes them; functions and views go
 * together.
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

/** Whether `name` is the name of a section; upper and lower case matter. */
export function isSection(name: string | undefined): name is Section {
  return (SECTIONS as readonly (string | undefined)[]).includes(name)
}
