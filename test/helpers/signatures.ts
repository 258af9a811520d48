import type { Argument, Signature, TypeShapes } from '../../lib/call/signatures/signature.ts'

/** The signature of a function `f` that returns a value and does nothing to its session. */
export function signatureOf(args: Argument[], types: TypeShapes): Signature {
  return {
    kind: 'function',
    schema: 'public',
    name: 'f',
    arguments: args,
    defaults: 0,
    variadic: false,
    types,
    isPolymorphic: args.some(({ kind }) => kind === 'polymorphic'),
    returnsVoid: false,
    isOpenRecord: false,
    outputs: [],
    index: 0,
    language: 'sql',
    volatility: 'volatile',
    settings: null,
    relation: null,
    identity: 'f(…)',
    text: 'f(…)',
    verdict: {
      reads: false,
      handles: false,
      afterwards: 'keep',
      altersFormats: false,
      commits: false,
    },
  }
}
