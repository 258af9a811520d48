import type { SchemaFile } from '../../archive/archive.ts'
import { GatewayError } from '../../errors.ts'
import type { TableChange } from '../changes/changes.ts'
import { hasDirectives } from '../plan/directives.ts'
import { type Loss, MAX_COUNTED } from './rows.ts'

/** Position of a statement in the archive; `line` counts from 1. */
export interface Place {
  file: SchemaFile
  line: number
}

/** A statement that would lose rows without permission, or a loss that the catalogs show. */
export interface Refusal {
  /** Null if the loss cannot be attributed to a statement. */
  place: Place | null
  losses: Loss[]
  /** The statement's text did not show the loss; it was found after the statement had run. */
  isHidden: boolean
}

const ALLOW = 'send allow=data_loss (force=true allows everything)'

const HIDDEN =
  'Dynamic SQL (DO, EXECUTE, a called function), a trigger, a rule or a CASCADE lost the data: no ' +
  'statement in the archive shows it. The gateway found it afterwards and rolled the deploy back'

const WRITE_OUT =
  'Write the statement itself into the file, which then passes if the table has no rows; or '

/**
 * Returns the error for statements that would lose rows.
 * @param more further fields of the error
 */
export function dataLossError(
  database: string,
  refusals: [Refusal, ...Refusal[]],
  more: object = {},
): GatewayError {
  const [first] = refusals
  const said = refusals.map(sentence)
  const isHidden = refusals.some((one) => one.isHidden)
  const mayAsk = refusals.some(({ place }) => place && hasDirectives(place.file))
  const directive = mayAsk
    ? ', or let the file say so before its first statement: -- gateway: allow-data-loss'
    : ''
  const hint = `${isHidden ? WRITE_OUT : ''}${ALLOW}${directive}`
  return new GatewayError(
    'data_loss',
    said.length === 1 ? said[0]! : `${said.length} statements would lose data. ${said.join('. ')}`,
    {
      database,
      ...(first.place && { file: first.place.file.path, line: first.place.line }),
      losses: refusals.flatMap(toAnswers),
      ...(isHidden && { cause: HIDDEN }),
      hint: hint[0]!.toUpperCase() + hint.slice(1),
      ...more,
    },
  )
}

/** Returns the error for a statement that commits by itself and runs dynamic SQL. */
export function untoldError(database: string, { file, line }: Place): GatewayError {
  return new GatewayError(
    'data_loss',
    `${file.path}, line ${line}: the statement commits by itself, so it cannot be rolled back, and ` +
      'it runs dynamic SQL, so what it takes away is not known before it runs',
    {
      database,
      file: file.path,
      line,
      losses: [],
      hint: 'If it may lose data, let the file say so before its first statement: -- gateway: allow-data-loss',
    },
  )
}

function sentence({ place, losses, isHidden }: Refusal): string {
  const what = losses.map(describe).join('; ')
  if (!place) return `The deploy would lose data and was rolled back: ${what}`
  const where = `${place.file.path}, line ${place.line}`
  return isHidden ? `${where}, loses data: ${what}` : `${where}, would lose data: ${what}`
}

function toAnswers({ place, losses }: Refusal): object[] {
  return losses.map(({ oid: _, number: __, hasMore, ...loss }) => ({
    ...loss,
    ...(hasMore && { more_rows: true }),
    ...(place && { file: place.file.path, line: place.line }),
  }))
}

/** Describes a loss in words: "column item.price of 12 rows". */
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
