import type { SchemaFile } from '../archive/archive.ts'
import { keyOfMade, type Names } from '../deploy/objects/names.ts'
import { leadingBlank } from '../deploy/parser/place.ts'
import type { Statement } from '../deploy/parser/statement.ts'
import { type Finding, placed } from './finding.ts'

/** A file, split into its statements. */
export interface Script {
  file: SchemaFile
  statements: Statement[]
}

/** Without a database a name without schema is in public. */
const NAMES: Names = {
  current: 'public',
  schemas: new Set(['public']),
  types: new Map(),
  relations: new Map(),
}

/** Returns the statements of code that make what another file makes, which a deploy refuses. */
export function madeTwice(scripts: Script[]): Finding[] {
  const makers = new Map<string, string>()
  return scripts.flatMap(({ file, statements }) =>
    statements.flatMap((statement): Finding[] => {
      if (!statement.made) return []
      const key = keyOfMade(statement.made, NAMES)
      const maker = makers.get(key)
      makers.set(key, maker ?? file.path)
      if (maker === undefined || maker === file.path) return []
      const { kind, name } = statement.made
      return [
        placed(file, {
          rule: 'made-twice',
          offset: statement.offset + leadingBlank(statement.text),
          message: `${maker} makes the ${kind} ${name} too`,
          advice: 'Keep one of the two',
        }),
      ]
    }),
  )
}

/** Returns the functions that can be called and that no test names. */
export function untested(scripts: Script[], tests: { text: string }[]): Finding[] {
  const words = new Set(tests.flatMap(({ text }) => wordsIn(text)))
  const found = scripts.flatMap(({ file, statements }) =>
    statements.flatMap((statement): Finding[] => {
      const { made, text, offset } = statement
      const isCalled = made?.kind === 'function' || made?.kind === 'procedure'
      if (!made || !isCalled || RETURNS_TRIGGER.test(text)) return []
      if (words.has(made.name.toLowerCase())) return []
      return [
        placed(file, {
          rule: 'untested',
          offset: offset + leadingBlank(text),
          message: `No file in tests/ names the ${made.kind} ${made.name}`,
          advice: 'Write a test that calls it',
        }),
      ]
    }),
  )
  const [first] = found
  if (!first || tests.length > 0) return found
  const { file, line } = first
  return [
    {
      file,
      line,
      level: 'warning',
      rule: 'untested',
      message:
        found.length === 1
          ? 'The function has no test: there is no folder tests/'
          : `${found.length} functions have no test: there is no folder tests/`,
      advice: 'Write tests/<name>.sql: SQL that fails where something is wrong',
    },
  ]
}

const RETURNS_TRIGGER = /\breturns\s+(?:event_)?trigger\b/i

function wordsIn(text: string): string[] {
  const code = text.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' ').toLowerCase()
  return code.match(/[\p{L}_][\p{L}\p{N}_$]*/gu) ?? []
}
