/**
 * A database as /admin/fleet has it, as far as it names one.
 * @typedef {object} Named
 * @property {string} platform
 * @property {string} database
 * @property {string | null} tenant_id
 * @property {string | null} [schema_name]
 */

/**
 * Returns the members that name a database in requests; an empty id is the main database.
 * @param {Named} row
 * @returns {Record<string, string>}
 */
export function ownerOf({ platform, tenant_id, schema_name }) {
  return schema_name
    ? { platform, schema_name, uuid: tenant_id ?? 'main' }
    : { platform, tenant_id: tenant_id ?? '' }
}

/**
 * Returns what a person calls a database.
 * @param {Named} row
 */
export function nameOf({ tenant_id, schema_name }) {
  if (tenant_id !== null) return schema_name ? `${schema_name} / ${tenant_id}` : tenant_id
  return schema_name ? `base of ${schema_name}` : 'main database'
}
