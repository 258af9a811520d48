import { parseComment } from './comment.ts'
import {
  baseOf,
  type Column,
  type DescribedFunction,
  type Description,
  type Parameter,
} from './description.ts'

/** A function as the catalogs have it. */
export interface CatalogFunction
  extends Pick<
    DescribedFunction,
    'schema' | 'name' | 'identity' | 'kind' | 'volatility' | 'returnsSet'
  > {
  comment: string
  /** `TypeDescription.name` of the result. */
  returns: string
  isVariadic: boolean
  arguments: CatalogArgument[]
}

interface CatalogArgument {
  name: string | null
  type: string
  /** Value of pg_proc.proargmodes. */
  mode: 'i' | 'o' | 'b' | 'v' | 't'
  default: string | null
}

/** Describes a function of the catalogs, with what its comment says. */
export function describeFunction(
  { comment, returns, isVariadic, arguments: all, ...rest }: CatalogFunction,
  types: Description['types'],
): DescribedFunction {
  const { about, errors, ...said } = parseComment(comment)
  const { notNull } = said
  const inputs = all.filter(({ mode }) => mode === 'i' || mode === 'b' || mode === 'v')
  const isRefused = (type: string) => types.get(type)?.isNotNull ?? false
  const parameters = inputs.map(
    ({ name, type, default: value }, i): Parameter => ({
      name,
      type,
      default: value,
      isVariadic: isVariadic && i === inputs.length - 1,
      isNotNull: isRefused(type) || (name !== null && notNull.has(name)),
      about: said.params.get(name ?? '') ?? '',
    }),
  )
  const columns = columnsOf({ ...rest, returns, arguments: all }, types)?.map((column) => ({
    ...column,
    about: said.columns.get(column.name) ?? column.about,
    isNotNull: column.isNotNull || isRefused(column.type) || notNull.has(column.name),
  }))
  return { ...rest, about, errors, parameters, columns }
}

/** The columns that `select * from f()` has; undefined if they depend on the call. */
function columnsOf(
  one: Pick<CatalogFunction, 'kind' | 'name' | 'returns' | 'returnsSet' | 'arguments'>,
  types: Description['types'],
): Column[] | undefined {
  const outputs = one.arguments.filter(({ mode }) => mode === 'o' || mode === 'b' || mode === 't')
  const isProcedure = one.kind === 'procedure'
  if (outputs.length > 1 || (isProcedure && outputs.length === 1)) {
    const columns = outputs.map(({ name, type }, i) => columnOf(name ?? `column${i + 1}`, type))
    return columns.some(({ type }) => isOpen(type, types)) ? undefined : columns
  }
  if (isProcedure) return []
  const result = baseOf(types, one.returns)
  if (result?.kind === 'composite') {
    // One row of nulls stands for no value, unless the function returns a set.
    const isRow = one.returnsSet && result.relation === 'table'
    return result.attributes!.map((column) => ({
      ...column,
      isNotNull: isRow && column.isNotNull,
    }))
  }
  if (isOpen(one.returns, types)) return undefined
  return [
    { ...columnOf(outputs[0]?.name ?? one.name, one.returns), isNotNull: result?.label === 'void' },
  ]
}

/** Whether the type is known only when the function is called. */
function isOpen(type: string, types: Description['types']): boolean {
  const { kind, label } = baseOf(types, type) ?? {}
  return kind === 'pseudo' && label !== 'void' && label !== 'cstring'
}

function columnOf(name: string, type: string): Column {
  return { name, type, isNotNull: false, about: '' }
}
