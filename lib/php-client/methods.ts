import {
  type DescribedFunction,
  overloadsByName,
  type Parameter,
} from '../description/description.ts'
import { commentText, literal, type PhpTypes } from './types.ts'

/** Returns a method for each function, with its docblock. */
export function methods(functions: DescribedFunction[], types: PhpTypes): string {
  return (
    [...overloadsByName(functions)]
      // PHP keeps names that begin so for itself.
      .filter(([name]) => !name.startsWith('__'))
      .map(([name, overloads]) =>
        overloads.length === 1 ? method(overloads[0]!, types) : overloaded(name, overloads, types),
      )
      .join('\n\n')
  )
}

function method(one: DescribedFunction, types: PhpTypes): string {
  const isNamed = one.parameters.every(({ name }) => name !== null && isVariable(name))
  const parameters = one.parameters.map((parameter, i) => ({
    ...parameter,
    variable: isNamed ? parameter.name! : `arg${i + 1}`,
    isOptional: parameter.default !== null || parameter.isVariadic,
  }))
  const docs = parameters.map(({ type, variable, isNotNull, isOptional, about }) =>
    `@param ${types.parameter(type, !isNotNull)}${isOptional ? '|Omitted' : ''} $${variable} ${about}`.trim(),
  )
  const given = parameters.map(({ type, variable, isNotNull, isOptional }) => {
    const native = types.native(type, !isNotNull)
    if (!isOptional) return `${native} $${variable}`
    return `${native === 'mixed' ? native : `${native}|Omitted`} $${variable} = Omitted::Value`
  })
  const passed = parameters.map(({ variable }) =>
    isNamed ? `${literal(variable)} => $${variable}` : `$${variable}`,
  )
  const list = given.length > 0 ? `\n${given.map((one) => `        ${one},\n`).join('')}    ` : ''
  return `${docblock(one.about, [...docs, `@return ${rowsOf(one, types)}`, ...thrown(one)])}
    public function ${one.name}(${list}): array
    {
        return $this->connection->call(${literal(one.name)}, [${passed.join(', ')}]);
    }`
}

/** PHP has no overloads: one method takes the parameters of each. */
function overloaded(name: string, overloads: DescribedFunction[], types: PhpTypes): string {
  const signatures = overloads.map(
    ({ parameters }) => `${name}(${parameters.map((one) => signature(one, types)).join(', ')})`,
  )
  const about = [...overloads.map((one) => one.about), ...signatures].filter((text) => text !== '')
  const rows = [...new Set(overloads.map((one) => rowsOf(one, types)))]
  const docs = [
    '@param mixed ...$params',
    `@return ${rows.join('|')}`,
    ...overloads.flatMap(thrown),
  ]
  return `${docblock(about.join('\n\n'), docs)}
    public function ${name}(mixed ...$params): array
    {
        return $this->connection->call(${literal(name)}, $params);
    }`
}

function signature({ name, type, isNotNull }: Parameter, types: PhpTypes): string {
  return `${types.parameter(type, !isNotNull)} $${name ?? '…'}`
}

function rowsOf({ columns }: DescribedFunction, types: PhpTypes): string {
  return `list<${columns ? types.shape(columns) : 'array<string, mixed>'}>`
}

function thrown({ errors }: DescribedFunction): string[] {
  return [
    '@throws GatewayError',
    ...errors.map((one) => `@throws GatewayError SQLSTATE ${one.sqlstate}: ${one.about}`),
  ]
}

/** Whether PHP takes the name for a variable; `this` is the object. */
function isVariable(name: string): boolean {
  return /^[A-Za-z_]\w*$/.test(name) && name !== 'this'
}

/** Returns a docblock of a method. */
function docblock(about: string, tags: string[]): string {
  const lines = [...(about === '' ? [] : about.split(/\r\n|\r|\n/)), ...tags]
  const inside = lines.map((line) => `     * ${commentText(line)}`.trimEnd())
  return `    /**\n${inside.join('\n')}\n     */`
}
