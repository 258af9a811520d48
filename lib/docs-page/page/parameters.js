// The parameters of a function, and the JSON that is made of what is typed for them.

/**
 * A parameter as the form knows it.
 * @typedef {object} Parameter
 * @property {string} name
 * @property {import('./schema.js').Schema} schema
 * @property {boolean} isRequired
 */

/** A number as JSON writes it. Its digits are sent as they are typed. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/

/**
 * Reads the parameters of an operation: by name where all have one.
 * @param {any} operation
 * @returns {{ parameters: Parameter[], isByName: boolean, isVariadic: boolean }}
 */
export function parametersOf(operation) {
  /** @type {import('./schema.js').Schema} */
  const params = operation.requestBody.content['application/json'].schema.properties.params
  const byName = params.anyOf?.find(({ type }) => type === 'object')
  if (byName) {
    const parameters = Object.entries(byName.properties ?? {}).map(([name, schema]) => {
      return { name, schema, isRequired: byName.required?.includes(name) ?? false }
    })
    return { parameters, isByName: true, isVariadic: false }
  }
  const parameters = (params.prefixItems ?? []).map((schema, i) => {
    return { name: `$${i + 1}`, schema, isRequired: i < (params.minItems ?? 0) }
  })
  const isVariadic = params.items === true
  /** @type {Parameter} */
  const rest = { name: 'further', schema: { type: 'array' }, isRequired: false }
  return {
    parameters: isVariadic ? [...parameters, rest] : parameters,
    isByName: false,
    isVariadic,
  }
}

/**
 * Writes the JSON of the parameters.
 * @param {{ name: string, read: () => string | undefined }[]} fields
 * @param {{ isByName: boolean, isVariadic: boolean }} manner
 * @throws {Error} for a value that is not JSON, or one that cannot be left out
 */
export function paramsText(fields, { isByName, isVariadic }) {
  const values = fields.map((field) => ({ name: field.name, json: field.read() }))
  if (isByName) {
    const given = values.filter(({ json }) => json !== undefined)
    return `{${given.map(({ name, json }) => `${JSON.stringify(name)}:${json}`).join()}}`
  }
  const last = values.findLastIndex(({ json }) => json !== undefined)
  const given = values.slice(0, last + 1).map(({ name, json }, i) => {
    if (json === undefined) throw new Error(`${name} cannot be left out: one after it is given`)
    // The further arguments are typed as an array, and stand beside the others.
    return isVariadic && i === fields.length - 1 ? json.slice(1, -1) : json
  })
  return `[${given.filter((json) => json.trim() !== '').join()}]`
}

/**
 * Writes a typed value as JSON. A number that JSON cannot write (NaN) is sent as text, which
 * PostgreSQL reads.
 * @param {string} name
 * @param {import('./schema.js').Kind} kind
 * @param {string} text
 * @throws {Error} naming the parameter, if it should be JSON and is not
 */
export function toJson(name, kind, text) {
  if (kind === 'boolean') return text
  if (kind === 'number') return NUMBER.test(text.trim()) ? text.trim() : JSON.stringify(text)
  if (kind !== 'json') return JSON.stringify(text)
  try {
    JSON.parse(text)
  } catch (error) {
    throw new Error(`${name} is not JSON: ${/** @type {Error} */ (error).message}`)
  }
  return text.trim()
}
