import { GatewayError } from '../../errors.ts'
import type { Signature } from '../signatures/signature.ts'
import type { Values } from './given.ts'
import { didYouMean, nearMisses } from './near-misses.ts'

/** Maximum number of parameter names that an error lists and looks up suggestions for. */
const MAX_NAMES = 20

/**
 * Returns the error for an unknown function name.
 * @param names existing function names, for suggestions
 */
export function unknownFunction(name: string, names: Iterable<string> = []): GatewayError {
  const suggestions = nearMisses(name, names)
  return new GatewayError(
    'function_not_found',
    `There is no function ${name}${didYouMean(suggestions)}`,
    suggestions.length > 0 ? { suggestions } : {},
  )
}

/** Returns the error for parameters that no overload accepts. */
export function noOverload(signatures: Signature[], values: Values): GatewayError {
  const { name } = signatures[0]!
  const candidates = signatures.map(({ text }) => text)
  const suggestions = Array.isArray(values) ? [] : nearParameters(signatures, [...values.keys()])
  return new GatewayError(
    'function_not_found',
    `No ${noun(signatures)} ${name} takes ${given(values)}${didYouMean(suggestions)}` +
      `${suggestions.length > 0 ? ' There' : '; there'} is ${candidates.join('; ')}`,
    suggestions.length > 0 ? { candidates, suggestions } : { candidates },
  )
}

/** Returns the error for parameters that several overloads accept equally well. */
export function ambiguous(fitting: Signature[]): GatewayError {
  const candidates = fitting.map(({ text }) => text)
  return new GatewayError(
    'invalid_request',
    `Several ${noun(fitting)}s take these parameters: ${candidates.join('; ')}`,
    { candidates },
  )
}

/** Returns the error for a function whose result columns are not declared. */
export function openRecord({ kind, text }: Signature): GatewayError {
  return new GatewayError(
    'invalid_request',
    kind === 'function'
      ? `Function ${text} returns a record without declaring its columns: declare it ` +
          '"returns table (...)", or give it OUT parameters'
      : `Procedure ${text} has a parameter of type record, whose columns are unknown: declare it ` +
          'with a composite type',
  )
}

/** Suggests parameters for unknown names, among those that the caller did not give. */
function nearParameters(signatures: Signature[], names: string[]): string[] {
  const known = new Set(signatures.flatMap(({ arguments: args }) => args.map(({ name }) => name)))
  const free = [...known].filter((name) => name !== null && !names.includes(name)) as string[]
  const unknown = names.filter((name) => !known.has(name)).slice(0, MAX_NAMES)
  return [...new Set(unknown.flatMap((name) => nearMisses(name, free).slice(0, 1)))]
}

function given(values: Values): string {
  if (Array.isArray(values)) return `${values.length} parameter${values.length === 1 ? '' : 's'}`
  const names = [...values.keys()].map((name) => name || '""')
  const shown = names.slice(0, MAX_NAMES).join(', ') || '(none)'
  return `parameters named ${shown}${names.length > MAX_NAMES ? ', …' : ''}`
}

function noun(signatures: Signature[]): string {
  return signatures.every(({ kind }) => kind === 'procedure') ? 'procedure' : 'function'
}
