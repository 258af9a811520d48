import { mixedColumns } from '../description/bigints.ts'
import {
  type DescribedFunction,
  type Description,
  isNamed,
  overloadsByName,
  type TypeDescription,
  typeKey,
} from '../description/description.ts'
import {
  braces,
  brackets,
  comment,
  indented,
  isIdentifier,
  key,
  label,
  quoted,
  TypeScriptTypes,
} from './types.ts'

/** Returns the interfaces `Types`, `Tables`, `Inputs` and `Functions`. */
export function declarations({ functions, types }: Description): string {
  const typescript = new TypeScriptTypes(types)
  const named = [...types.values()].filter(isNamed)
  const member = (type: TypeDescription) =>
    `${comment(type.about)}${key(typeKey(type))}: ${typescript.definition(type)}`
  const declared = interfaceOf('The functions', 'Functions', methods(functions, types, typescript))
  return [
    interfaceOf(
      'Enums, domains and composite types',
      'Types',
      named.filter(({ relation }) => relation === null).map(member),
    ),
    interfaceOf(
      'Rows of tables and views',
      'Tables',
      named.filter(({ relation }) => relation !== null).map(member),
    ),
    interfaceOf('Composite types as parameters take them', 'Inputs', inputs(types, typescript)),
    declared,
  ].join('\n\n')
}

function interfaceOf(about: string, name: string, members: string[]): string {
  const inside = members.map((one) => `${indented(one)}\n`).join('')
  return `/** ${about}. */\nexport interface ${name} {${inside && `\n${inside}`}}`
}

function inputs(types: Description['types'], typescript: TypeScriptTypes): string[] {
  const members: [string, string][] = []
  // Defining a type may need others, which are added to the Set, and come later.
  for (const name of typescript.inputs) {
    members.push([key(typeKey(types.get(name)!)), typescript.inputDefinition(name)])
  }
  return members.sort().map(([name, definition]) => `${name}: ${definition}`)
}

function methods(
  functions: DescribedFunction[],
  types: Description['types'],
  typescript: TypeScriptTypes,
): string[] {
  const byName = overloadsByName(functions)
  return [...byName].map(([name, overloads]) => {
    const about = overloads.map(aboutOf).filter((text) => text !== '')
    const mixed = mixedColumns(overloads, types)
    const shapes = overloads.map((one) => {
      const params = `params: ${parametersOf(one, typescript)}`
      return `{\n${indented(`${params}\nrow: ${rowOf(one, mixed, typescript)}`)}\n}`
    })
    return `${comment(about.join('\n\n'))}${key(name)}: ${shapes.join(' | ')}`
  })
}

/** What a function does, and which errors it declares. */
function aboutOf({ about, errors }: DescribedFunction): string {
  const thrown = errors.map(({ sqlstate, about }) => `@throws ${sqlstate} ${about}`.trim())
  return [about, ...thrown].filter((text) => text !== '').join('\n')
}

function rowOf(
  { columns }: DescribedFunction,
  mixed: Set<string>,
  typescript: TypeScriptTypes,
): string {
  return columns ? typescript.object(columns, mixed) : 'Record<string, Json>'
}

/** By name, by position, or either. */
function parametersOf({ parameters }: DescribedFunction, typescript: TypeScriptTypes): string {
  if (parameters.length === 0) return 'Record<string, never> | []'
  const all = parameters.map((one) => ({
    ...one,
    typed: typescript.input(one.type, !one.isNotNull),
    mark: one.default !== null || one.isVariadic ? '?' : '',
  }))
  // Labels of a tuple are all there, or none is.
  const hasLabels = all.every(({ name }) => name !== null && isIdentifier(name))
  const byPosition = all.map(({ name, typed, mark }) =>
    hasLabels ? `${label(name!)}${mark}: ${typed}` : mark ? `(${typed})?` : typed,
  )
  const tuple = brackets(byPosition)
  if (all.some(({ name }) => name === null)) return tuple
  const byName = all.map(
    ({ name, typed, mark, about }) => `${comment(about)}${key(name!)}${mark}: ${typed}`,
  )
  return `${braces(byName)} | ${tuple}`
}

/** Returns the errors that functions declare, as a type: SQLSTATEs by function. */
export function declaredErrors(functions: DescribedFunction[]): string {
  const members = [...overloadsByName(functions)].flatMap(([name, overloads]) => {
    const states = new Set(overloads.flatMap(({ errors }) => errors.map((one) => one.sqlstate)))
    return states.size > 0 ? [`${key(name)}: ${[...states].map(quoted).join(' | ')}`] : []
  })
  return interfaceOf('SQLSTATEs of the errors that functions declare', 'Errors', members)
}
