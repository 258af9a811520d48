import { readFileSync } from 'node:fs'
import { bigintsOf } from '../description/bigints.ts'
import { type Description, overloadsByName, readsOnly } from '../description/description.ts'
import { declarations, declaredErrors } from './declarations.ts'
import { key } from './types.ts'

export interface TypeScriptOptions {
  /** Members that name the database, beside that of the tenant. */
  owner: { platform: string; schema_name?: string | undefined }
  /** What bigint is in rows: BigInt, or its digits. */
  bigint: 'bigint' | 'string'
}

/** The files of the client, each after those that it imports. */
const FILES = ['values', 'errors', 'types', 'connection']

/** What these files export to each other, and not to users. */
const INTERNAL =
  /^export (?=(?:function (?:encode|toBigints|errorOf|connectTo)|interface Home|type (?:Any|Bigints))\b)/gm

let client: string | undefined

/** Returns the text of the client, without the imports between its files. */
function clientText(): string {
  client ??= FILES.map((name) => {
    const text = readFileSync(new URL(`./client/${name}.ts`, import.meta.url), 'utf8')
    return text
      .replaceAll(/^import [^;]*? from '\.\/.*'\n/gm, '')
      .replaceAll(/^ *\/\/ biome-ignore .*\n/gm, '')
      .replaceAll(INTERNAL, '')
      .trim()
  }).join('\n\n')
  return client
}

/** Returns a module of TypeScript: the types of a database, and a client of its functions. */
export function typescriptDocument(
  { owner, bigint }: TypeScriptOptions,
  description: Description,
): string {
  const home = { owner, key: owner.schema_name === undefined ? 'tenant_id' : 'uuid' }
  const int8 = bigint === 'bigint' ? 'bigint' : 'string'
  return `// Types of the platform ${owner.platform}, and a client for its functions. Do not edit: the
// Database Gateway writes this file, GET /types.ts?platform=${owner.platform}.
// Schema ${description.digest.slice(0, 12)}

/** bigint in rows. */
export type Int8 = ${int8}

/** float4 and float8: a text where it is no number of JSON. */
export type Float8 = number | 'NaN' | 'Infinity' | '-Infinity'

${declarations(description)}

${declaredErrors(description.functions)}

/** Connects to the functions of the platform ${owner.platform}. */
export function connect(options: ConnectOptions): Client<Functions> {
  return connectTo<Functions>({ ...HOME, functions: FUNCTIONS }, options)
}

const HOME = ${JSON.stringify(home)}

const FUNCTIONS: Record<string, Known> = {
${table(description, bigint === 'bigint')}
}

${clientText()}
`
}

/** What the client knows of each function, a line for each. */
function table({ functions, types }: Description, hasBigints: boolean): string {
  const byName = overloadsByName(functions)
  return [...byName]
    .map(([name, overloads]) => {
      const reads = readsOnly(overloads)
      const bigints = hasBigints ? bigintsOf(overloads, types) : undefined
      // As a plain key it would be the prototype.
      const own = name === '__proto__' ? `['${name}']` : key(name)
      return `  ${own}: ${JSON.stringify({ reads, ...(bigints && { bigints }) })},`
    })
    .join('\n')
}
