import type { SchemaFile } from '../archive/archive.ts'
import { GatewayError } from '../errors.ts'
import type { TableChange } from './changes.ts'
import { hasDirectives } from './directives.ts'
import { type Loss, MAX_COUNTED } from './loss/rows.ts'

/** The answer to a statement that would lose rows and was not told that it may. It has not run. */
export function dataLossError(
  database: string,
  file: SchemaFile,
  line: number,
  losses: Loss[],
): GatewayError {
  const directive = ', or let the file say so in its first line: -- gateway: allow-data-loss'
  return new GatewayError(
    'data_loss',
    `${file.path}, line ${line}, would lose data: ${losses.map(describe).join('; ')}`,
    {
      database,
      file: file.path,
      line,
      losses: losses.map(toAnswer),
      hint: `Send allow=data_loss (force=true allows everything)${hasDirectives(file) ? directive : ''}`,
    },
  )
}

/** The answer to a loss that no statement's text told of. It has been rolled back. */
export function hiddenLossError(database: string, changes: TableChange[]): GatewayError {
  const losses = changes.map((change) => ({ ...change, rows: null, hasMore: false }))
  return new GatewayError(
    'data_loss',
    `The deploy would lose data and was rolled back: ${losses.map(describe).join('; ')}`,
    {
      database,
      losses: losses.map(toAnswer),
      cause:
        'Dynamic SQL (DO, EXECUTE, a function that is called) or a CASCADE did it, so the rows ' +
        'could not be counted before',
      hint:
        'Write the statement out, so that it passes where there are no rows; or send ' +
        'allow=data_loss (force=true allows everything), or let the migration say so in its ' +
        'first line: -- gateway: allow-data-loss',
    },
  )
}

function toAnswer({ oid: _, number: __, hasMore, ...loss }: Loss): object {
  return { ...loss, ...(hasMore && { more_rows: true }) }
}

/** What a change that loses data is about, for people. */
export function describe(loss: TableChange & Partial<Loss>): string {
  const { table, column, change, from, to } = loss
  const of = rowsOf(loss)
  switch (change) {
    case 'table_dropped':
      return `table ${table}${of && ` with ${of}`}`
    case 'column_dropped':
      return `column ${table}.${column}${of && ` of ${of}`}`
    case 'type_changed':
      return `${table}.${column} from ${from} to ${to}${of && ` in ${of}`}`
    case 'attribute_dropped':
      return column === null || of === ''
        ? `attribute ${column ?? from} of the type ${table}`
        : `attribute ${from} in ${table}.${column} of ${of}`
    case 'table_truncated':
    case 'rows_deleted':
      return `${of || 'all rows'} of table ${table}`
    case 'table_unlogged':
      return `table ${table}${of && ` with ${of}`}, which a crash would empty`
    case 'partition_detached':
      return `partition ${table}${of && ` with ${of}`}, from the table that it is part of`
    case 'sequence_dropped':
      return `sequence ${table}, which has been used`
    case 'materialized_view_dropped':
      return `materialized view ${table}${of && ` with ${of}`}`
    default:
      return `${change} ${table}`
  }
}

function rowsOf({ rows, hasMore }: Partial<Loss>): string {
  if (rows === null || rows === undefined) return ''
  if (hasMore) return `more than ${MAX_COUNTED} rows`
  return `${rows} row${rows === 1 ? '' : 's'}`
}
