import { parseSync } from 'libpg-query'
import type { FunctionFacts, RelationFacts } from '../facts.ts'
import { ANYTHING, add, type Code, leave, noCode, RESET, unknownEffects } from './effects.ts'
import { effectsOfBuiltin, effectsOfForeign } from './known-routines.ts'
import { notePlPgSQL } from './plpgsql-code.ts'
import { isNeverLocal } from './settings.ts'
import {
  type IsVolatile,
  noteExpression,
  noteStatements,
  noteTree,
  noteWrittenName,
} from './sql-code.ts'
import { isTree, type Tree } from './tree.ts'

/** What the database says of its session. */
export interface Context {
  isVolatile: IsVolatile
  /** `standard_conforming_strings` is off. */
  hasOddStrings: boolean
  /** Told of an error after which the parser is not to be used again. */
  onBroken: () => void
}

/** What a function does by itself. */
export function codeOfFunction(facts: FunctionFacts, context: Context): Code {
  const { name, language, definition, kind, parts } = facts
  const isVolatile = facts.volatility === 'v'
  if (kind === 'aggregate') return codeOfNames(parts ?? [], context)
  if (definition === null) {
    const effects = facts.isBuiltin
      ? effectsOfBuiltin(name, isVolatile)
      : effectsOfForeign(name, language, isVolatile)
    return { ...noCode(), ...effects }
  }
  const isOdd = context.hasOddStrings || setsOddStrings(facts)
  if (isOdd && definition.includes('\\')) return unknownCode()
  return careful(context, (code) => {
    // Up to PostgreSQL 15.
    if (facts.settings?.some((one) => isNeverLocal(one.split('=')[0]!))) leave(code, RESET)
    const { parameters, options, sql_body } = readDefinition(definition)
    for (const parameter of parameters ?? []) {
      noteTree(parameter.FunctionParameter?.defexpr, code, context.isVolatile)
    }
    const body = bodyOf(options ?? [])
    if (sql_body) noteTree(sql_body, code, context.isVolatile)
    else if (language === 'plpgsql') notePlPgSQL(definition, body, code, context.isVolatile)
    else noteStatements(body, code, context.isVolatile)
  })
}

/** What happens when a relation is read. */
export function codeOfReading(
  { kind, query, expressions, dependents }: RelationFacts,
  context: Context,
): Code {
  const { isVolatile } = context
  return careful(context, (code) => {
    // What a server elsewhere does is not known.
    if (kind === 'f') code.writes = true
    if (query !== null) noteStatements(query, code, isVolatile)
    for (const expression of expressions) noteExpression(expression, code, isVolatile)
    // Partitions and children, of which some may be elsewhere.
    for (const name of dependents) code.relations.add(name)
  })
}

/** What happens beside that when it is written. */
export function codeOfWriting(
  { defaults, triggers, rules, dependents, query }: RelationFacts,
  context: Context,
): Code {
  const { isVolatile } = context
  return careful(context, (code) => {
    code.writes = true
    for (const expression of defaults) noteExpression(expression, code, isVolatile)
    for (const trigger of triggers) noteTrigger(trigger, code, isVolatile)
    for (const rule of rules) noteRule(rule, code, isVolatile)
    for (const name of dependents) noteWrittenName(name, code)
    if (query === null) return
    // What is written to a view goes to the tables of its query.
    const below = noCode()
    noteStatements(query, below, isVolatile)
    for (const name of below.relations) noteWrittenName(name, code)
  })
}

/** What happens beside that when it is truncated with CASCADE, whatever its foreign keys say. */
export function codeOfTruncating({ dependents, references }: RelationFacts): Code {
  const code = noCode()
  for (const name of [...dependents, ...references]) {
    code.written.add(name)
    code.truncated.add(name)
  }
  return code
}

/** Of an expression that no statement names. */
export function codeOfExpression(text: string, context: Context): Code {
  return careful(context, (code) => noteExpression(text, code, context.isVolatile))
}

/** Of functions that are called without a statement: those of operators, aggregates, … */
export function codeOfNames(names: string[], { isVolatile }: Context): Code {
  const code = { ...noCode(), calls: new Set(names) }
  for (const name of names) {
    const effects = effectsOfBuiltin(name, isVolatile(name))
    if (effects) add(code, effects)
  }
  return code
}

function noteTrigger(text: string, code: Code, isVolatile: IsVolatile): void {
  const { CreateTrigStmt } = firstOf(text) as { CreateTrigStmt: Tree }
  const { funcname, whenClause } = CreateTrigStmt
  noteTree({ funcname }, code, isVolatile)
  noteTree(whenClause, code, isVolatile)
}

function noteRule(text: string, code: Code, isVolatile: IsVolatile): void {
  const { RuleStmt } = firstOf(text) as { RuleStmt: Tree }
  noteTree(RuleStmt.actions, code, isVolatile)
  noteTree(RuleStmt.whereClause, code, isVolatile)
}

interface Definition {
  parameters?: { FunctionParameter?: { defexpr?: Tree } }[]
  options?: { DefElem: { defname: string; arg?: Tree } }[]
  sql_body?: Tree
}

function readDefinition(text: string): Definition {
  return (firstOf(text) as { CreateFunctionStmt: Definition }).CreateFunctionStmt
}

function bodyOf(options: NonNullable<Definition['options']>): string {
  const as = options.find(({ DefElem }) => DefElem.defname === 'as')?.DefElem.arg
  const items = (as?.List as { items?: { String?: { sval?: string } }[] } | undefined)?.items
  return items?.[0]?.String?.sval ?? ''
}

function firstOf(text: string): unknown {
  const stmt = parseSync(text).stmts?.[0]?.stmt
  if (!isTree(stmt)) throw new Error('No statement')
  return stmt
}

function setsOddStrings({ settings }: FunctionFacts): boolean {
  return settings?.some((one) => /^standard_conforming_strings=(?!on$)/i.test(one)) ?? false
}

/** What does not parse may do anything. */
function careful({ onBroken }: Context, note: (code: Code) => void): Code {
  const code = noCode()
  try {
    note(code)
    return code
  } catch (error) {
    // The parser's own errors leave it as it was; these may not.
    if (error instanceof RangeError || isTrap(error)) onBroken()
    return unknownCode()
  }
}

/** An error of WebAssembly, which Node.js's types do not have. */
function isTrap(error: unknown): boolean {
  return error instanceof Error && error.constructor.name === 'RuntimeError'
}

function unknownCode(): Code {
  const code = noCode()
  add(code, unknownEffects(ANYTHING))
  return code
}
