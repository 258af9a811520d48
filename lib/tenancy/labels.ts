import { shown } from '../common/shown.ts'
import { GatewayError } from '../errors.ts'
import { type Json, membersOf } from '../json/json.ts'
import { duplicateName } from '../json/known-names.ts'
import { jsonOf, stringOf } from '../json/text.ts'
import type { Sql } from '../postgres/pools/connection.ts'

/** Labels that a platform has given a tenant: values by key. */
export type Labels = Record<string, string>

/** New values of labels by key; null removes the label. */
export type LabelChanges = Record<string, string | null>

/** Maximum number of labels of one tenant. */
export const MAX_LABELS = 64

const WORD = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/
const WORDS = '1 to 63 letters, digits, "_", "." or "-", a letter or a digit first'

/**
 * Parses the member `labels` of a request that creates a tenant; no labels if it is absent.
 * @throws {GatewayError} invalid_request
 */
export function parseLabels(value: Json | undefined): Labels {
  if (value === undefined) return {}
  const labels = parseLabelChanges(value)
  const removed = Object.keys(labels).find((key) => labels[key] === null)
  if (removed === undefined) return labels as Labels
  throw new GatewayError('invalid_request', `labels.${removed} must be a string; got null`)
}

/**
 * Parses the member `labels` of a request that changes the labels of a tenant.
 * @throws {GatewayError} invalid_request
 */
export function parseLabelChanges(value: Json | undefined): LabelChanges {
  if (value?.kind !== 'object') {
    throw new GatewayError('invalid_request', 'labels must be an object, as {"plan":"pro"}')
  }
  const changes: LabelChanges = {}
  for (const { key: name, value: label } of membersOf(value)) {
    const key = stringOf(name)
    checkWord('The key of a label', key)
    if (Object.hasOwn(changes, key)) throw duplicateName('member', key, ' in labels')
    changes[key] = label.kind === 'null' ? null : parseLabel(`labels.${key}`, label)
  }
  if (Object.keys(changes).length > MAX_LABELS) throw tooMany()
  return changes
}

function parseLabel(what: string, value: Json): string {
  if (value.kind === 'string') return checkWord(what, stringOf(value))
  throw new GatewayError('invalid_request', `${what} must be a string; got ${shown(jsonOf(value))}`)
}

/**
 * Parses a filter of tenants: pairs such as `plan:pro`, separated by commas. A tenant matches if it
 * has all of them. An absent or empty filter matches every tenant.
 * @throws {GatewayError} invalid_request
 */
export function parseLabelFilter(text: string | undefined): Labels {
  const labels: Labels = {}
  for (const part of text ? text.split(',') : []) {
    const [key, value, ...more] = part.trim().split(':')
    const isPair = WORD.test(key!) && value !== undefined && WORD.test(value) && more.length === 0
    if (!isPair) {
      const given = JSON.stringify(shown(part))
      throw new GatewayError(
        'invalid_request',
        `label takes key:value, as plan:pro, with commas between; got ${given}`,
      )
    }
    if (Object.hasOwn(labels, key!)) {
      throw new GatewayError('invalid_request', `label has ${key} twice: no tenant has two of it`)
    }
    labels[key!] = value
  }
  return labels
}

/** Returns the text of a filter, in the form that `parseLabelFilter` reads. */
export function describeLabels(labels: Labels): string {
  return Object.entries(labels)
    .map((pair) => pair.join(':'))
    .join(',')
}

/** Returns the database names of the tenants of a platform that have all of the labels. */
export async function findLabelled(
  sql: Sql,
  platform: string,
  labels: Labels,
): Promise<Set<string>> {
  const rows = await sql<{ database: string }[]>`
    select database from _db_gateway_databases
    where platform = ${platform} and tenant_id is not null and ${hasLabels(sql, labels)}
  `
  return new Set(rows.map(({ database }) => database))
}

/** Returns an SQL condition: whether a row of `_db_gateway_databases` has all of the labels. */
export function hasLabels(sql: Sql, labels: Labels) {
  return sql`labels @> ${JSON.stringify(labels)}::text::jsonb`
}

/** Returns the error of a request for more than MAX_LABELS labels of one tenant. */
export function tooMany(): GatewayError {
  return new GatewayError('invalid_request', `A tenant has at most ${MAX_LABELS} labels`)
}

function checkWord(what: string, value: string): string {
  if (WORD.test(value)) return value
  const given = shown(JSON.stringify(value))
  throw new GatewayError('invalid_request', `${what} must be ${WORDS}; got ${given}`)
}
