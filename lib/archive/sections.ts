/** The folders of a schema, in the order in which a deploy takes them. */
export const SECTIONS = [
  'extensions',
  'types',
  'tables',
  'migrations',
  'functions',
  'views',
  'seeders',
] as const

/** A folder of a schema. */
export type Section = (typeof SECTIONS)[number]

/** Whether `name` is the name of a section; upper and lower case matter. */
export function isSection(name: string | undefined): name is Section {
  return (SECTIONS as readonly (string | undefined)[]).includes(name)
}
