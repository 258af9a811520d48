import { parseSync } from 'libpg-query'
import { spoils } from '../../../common/pg-parser.ts'
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

/** Facts about the database, and the parser, that reading code depends on. */
export interface Context {
  isVolatile: IsVolatile
  /** True: standard_conforming_strings is off. */
  hasOddStrings: boolean
  /** Called after an error if the parser must not be used again. */
  onBroken: () => void
}

/** Returns the code of a function. */
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
    // Only PostgreSQL 15 and older accept such a SET clause.
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

/** Returns the code that runs when a relation is read. */
export function codeOfReading(
  { kind, query, expressions, dependents }: RelationFacts,
  context: Context,
): Code {
  const { isVolatile } = context
  return careful(context, (code) => {
    // The effects on a foreign server are unknown.
    if (kind === 'f') code.writes = true
    if (query !== null) noteStatements(query, code, isVolatile)
    for (const expression of expressions) noteExpression(expression, code, isVolatile)
    // Partitions and children; some may be foreign tables.
    for (const name of dependents) code.relations.add(name)
  })
}

/** Returns the code that runs, apart from reading, when a relation is written. */
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
    // A write to a view goes to the tables of its query.
    const below = noCode()
    noteStatements(query, below, isVolatile)
    for (const name of below.relations) noteWrittenName(name, code)
  })
}

/**
 * Returns the code that runs, apart from writing, when a relation is truncated with CASCADE, which
 * ignores the actions of foreign keys.
 */
export function codeOfTruncating({ dependents, references }: RelationFacts): Code {
  const code = noCode()
  for (const name of [...dependents, ...references]) {
    code.written.add(name)
    code.truncated.add(name)
  }
  return code
}

/** Returns the code of an expression that runs without being named in a statement. */
export function codeOfExpression(text: string, context: Context): Code {
  return careful(context, (code) => noteExpression(text, code, context.isVolatile))
}

/**
 * Returns the code of functions that run without being named in a statement: those of operators,
 * aggregates, …
 */
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
  if (!isTree(stmt)) throw new Error('The text has no statement')
  return stmt
}

function setsOddStrings({ settings }: FunctionFacts): boolean {
  return settings?.some((one) => /^standard_conforming_strings=(?!on$)/i.test(one)) ?? false
}

/** Reads code. Code that does not parse may do anything. */
function careful({ onBroken }: Context, note: (code: Code) => void): Code {
  const code = noCode()
  try {
    note(code)
    return code
  } catch (error) {
    if (spoils(error)) onBroken()
    return unknownCode()
  }
}

function unknownCode(): Code {
  const code = noCode()
  add(code, unknownEffects(ANYTHING))
  return code
}
