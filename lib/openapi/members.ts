/** A JSON Schema (https://json-schema.org/draft/2020-12). */
export type JsonSchema = Record<string, unknown> | boolean

const text = (description: string, more = {}) => ({ type: 'string', description, ...more })
const flag = (description: string) => ({ type: 'boolean', description })
const whole = (description: string, more = {}) => ({ type: 'integer', description, ...more })
const file = (description: string) => text(description, { contentMediaType: 'application/gzip' })
const list = (description: string, items: JsonSchema) => ({ type: 'array', description, items })

const ID = { pattern: '^[A-Za-z0-9_-]{1,63}$' }
const orNull = { type: ['string', 'null'] }
const ARCHIVE = file('The tar.gz of the postgresql folder')

/**
 * Members of JSON bodies, form fields and query parameters: each name means the same at every
 * endpoint.
 */
export const MEMBERS: Record<string, JsonSchema> = {
  action: text('What was done, as entries of the audit name it'),
  after: text('`next_after` of the page before'),
  after_hours: { type: 'number', description: 'Hours until the drop' },
  allow: {
    description:
      'Losses to let pass: data_loss, functions_missing, older; of /v2/*: drop_table, drop_column, modify_column_type',
    anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
  },
  before: whole('`next_before` of the page before', { minimum: 1 }),
  bigint: text('What the client makes of bigint', { enum: ['string', 'bigint'] }),
  by: text('What the servers are to have alike much of', { enum: ['databases', 'bytes', 'load'] }),
  calls: list('1 to 100 calls', {
    type: 'object',
    required: ['function'],
    properties: { function: { type: 'string' }, params: { type: ['array', 'object'] } },
    additionalProperties: false,
  }),
  checksum: text('Checksum of a kept archive'),
  confirm: text('Name of the database to drop'),
  cross_db_link: { description: 'Not supported', type: 'null' },
  database: text('Name of a database'),
  database_id: text("The tenant's id, or main", orNull),
  db_password: text('Taken, and not used'),
  db_user: text('Taken, and not used'),
  deploy: flag("Deploy the platform's newest archive"),
  dry_run: flag('Report what would be done'),
  progress: flag('Report each database as its deploy begins'),
  dump: flag('Dump the database before'),
  file: ARCHIVE,
  force: flag('Let every loss pass'),
  function: text('Name of a function', { pattern: '^[a-z_][a-z0-9_]{0,62}$' }),
  hold: flag('Answer calls with 503 meanwhile, where they would wait'),
  how: text('How the rows are copied', { enum: ['dump', 'replicate', 'auto'] }),
  id: text('Id of a call in flight, as /admin/activity has it'),
  if_exists: text('Whether a tenant that exists is an error', { enum: ['ok', 'error'] }),
  label: text('Labels that a tenant must have: `plan:pro,region:eu`'),
  labels: {
    type: 'object',
    description: 'Labels by name; null takes one away',
    additionalProperties: { type: ['string', 'null'] },
  },
  limit: whole('Largest number of entries', { minimum: 1, maximum: 1000 }),
  limits: {
    type: 'object',
    description: 'Limits by name; null takes one away',
    properties: {
      max_connections: { type: ['integer', 'null'], minimum: 1 },
      calls_per_second: { type: ['integer', 'null'], minimum: 1 },
      statement_timeout_ms: { type: ['integer', 'null'], minimum: 1 },
      callable_schemas: { type: ['array', 'null'], items: { type: 'string' } },
      read_only: { type: ['boolean', 'null'] },
    },
    additionalProperties: false,
  },
  max_wait_s: { type: 'number', description: 'Seconds that calls may wait' },
  message: text('What callers are told', { maxLength: 500 }),
  migrations: list('File names of migrations that are in place', { type: 'string' }),
  name: text('Name of the stored schema'),
  namespace: text('Namespace of the PHP class'),
  numeric: text('How numeric and bigint are written', {
    ...orNull,
    enum: ['string', 'number', null],
  }),
  on_error: text('What a failed database does to the others', { enum: ['stop', 'continue'] }),
  only: text('`failed`: databases where the last try did not succeed'),
  outcome: text('How the request ended', { enum: ['done', 'failed', 'running'] }),
  params: {
    type: ['array', 'object', 'null'],
    description: 'Parameters: an array by position, an object by name',
  },
  platform: text('The platform', ID),
  primary: flag('Run on the primary, which has everything committed before'),
  refresh: flag('Ask each database of the page for its ledger'),
  repair: flag('Record edited migrations with their new checksums'),
  request_id: text('X-Request-Id of a request'),
  retry: flag('Try again what failed'),
  retry_after_s: whole('Seconds of Retry-After', { minimum: 1, maximum: 2_592_000 }),
  schema: ARCHIVE,
  schema_name: text('Name of the stored schema', { maxLength: 128 }),
  server: text('Name of a PostgreSQL server: main, or one of SERVERS', {
    pattern: '^[a-z][a-z0-9_-]{0,31}$',
  }),
  servers: list('Names of two or more servers', { type: 'string' }),
  session: { type: ['object', 'null'], description: 'Custom settings that the call reads' },
  sizes: flag('Report the sizes of databases'),
  skip: {
    description: 'Databases or tenants to leave out',
    anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }],
  },
  skip_verification: flag('Leave out the verification'),
  state: text('State of the tenants', { enum: ['active', 'suspended', 'dropping'] }),
  step: text('Length of each part of the series', { enum: ['minute', 'hour'] }),
  stop: flag('Give the move up that runs'),
  strict: flag('Fail if no new tenant can be created with the archive'),
  tenant_id: text('The tenant; absent or null: the main database', { ...ID, ...orNull }),
  to: text('The new name of the tenant, the name of its copy, or the server that it moves to', ID),
  timeout_ms: whole('Time limit, from the arrival of the request', {
    type: ['integer', 'null'],
    minimum: 1,
  }),
  transaction: flag('All or nothing'),
  tries: whole('How often replication tries to hold calls', { minimum: 1, maximum: 1000 }),
  uuid: text('The tenant of the schema; absent, null or main: its base database', orNull),
}

/** Query parameters that mean something else than the member of a body with their name. */
const QUERY_PARAMETERS: Record<string, JsonSchema> = {
  by: text('What is added up: tenant or function'),
  days: flag('Report each day by itself'),
  from: text('The first day or time; the archive that is compared'),
  order: text('What the list is ordered by, the largest first'),
  to: text('The last day or time; the archive that it is compared with'),
  schema: text('Name of a schema of the platform, as `schema_name`'),
}

/** Parameters of paths. */
const PATH_PARAMETERS: Record<string, JsonSchema> = {
  ...MEMBERS,
  tenant: text('The tenant', ID),
  schema: text('Name of the schema'),
  uuid: text('The tenant of the schema, or main'),
  job_id: text('The job', { format: 'uuid' }),
  version: text('The version of the page'),
  folder: text('Name of the folder of the file'),
  file: text('Name of the file'),
}

/** Returns the schema of a member by its name; undefined if the name is not in the table. */
export function memberSchema(
  place: 'body' | 'form' | 'query' | 'path',
  name: string,
): JsonSchema | undefined {
  if (place === 'path') return PATH_PARAMETERS[name]
  return (place === 'query' ? QUERY_PARAMETERS[name] : undefined) ?? MEMBERS[name]
}
