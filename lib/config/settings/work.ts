import { integer, optional, seconds, word } from '../setting.ts'
import { asIs, numericFormat, olderArchives, onOrOff, schemaNames } from '../values.ts'

export const CALLS = {
  statementTimeoutMs: seconds('STATEMENT_TIMEOUT_SECS', 30, {
    about: 'How long a statement of a call may run.',
    edge: 'PostgreSQL cancels it after that: 504 `query_timeout`. Of a stream, how long the next rows may take.',
  }),
  callableSchemas: optional('CALLABLE_SCHEMAS', 'names, with commas between', schemaNames, {
    none: 'the search path of the database (`public` where nothing else is set)',
    protects: true,
    about:
      'The schemas in which /call looks for functions, in this order. Functions of PostgreSQL and of extensions can be called only where their schema is named here (`pg_catalog`, `ext`).',
    edge: "Stops the start for `_db_gateway`, `pg_temp` and `pg_toast`. An extension's functions in `public` cannot be called.",
  }),
  idempotencyTtlMs: seconds('IDEMPOTENCY_TTL_SECS', 86_400, {
    about: 'How long the answer of a call with an `Idempotency-Key` is kept in its database.',
    edge: 'After that the same key runs the call again.',
  }),
  numericFormat: word('NUMERIC_FORMAT', '`number` or `string`', 'number', numericFormat, {
    about: 'How /call writes `numeric` and `bigint` where the call does not say it.',
    edge: '`string` writes JSON strings, for clients whose numbers are doubles.',
  }),
}

export const DEPLOYS = {
  lockTimeoutMs: seconds('LOCK_TIMEOUT_SECS', 30, {
    about:
      'How long a deploy, or /admin/adopt, is tried again where it does not get a lock, such as on a table that it changes.',
    edge: 'After that the deploy fails and is rolled back; /admin/adopt answers 503 `database_in_use`.',
  }),
  deployTimeoutMs: seconds('DEPLOY_TIMEOUT_SECS', 1800, {
    about: 'How long a deploy to one database, an export or an import may take.',
    edge: 'After that it is cancelled and rolled back: 504 `query_timeout`. An export is cut, and the database of an import dropped. A request waits for as long while another one makes, changes or drops its database: 409 `tenant_busy`, or 504 of a deploy, with the `sessions` that it waits for.',
  }),
  olderArchives: word('OLDER_ARCHIVES', '`ignore` or `deploy`', 'ignore', olderArchives, {
    about: 'What /register does with an archive older than the one in place.',
    edge: '`ignore` answers 200 with `superseded`. `deploy` deploys it, as with `allow=older`, for platforms that roll back by starting old images.',
  }),
  keptArchives: integer('KEPT_ARCHIVES', 20, [0, 1000], {
    about:
      'The archives that are kept in the catalog for /admin/revert, of each schema of a platform and of its databases without one.',
    edge: 'Each takes up to MAX_ARCHIVE_BYTES. 0 keeps none.',
  }),
  storedSchemasPerPlatform: integer('STORED_SCHEMAS_PER_PLATFORM', 200, [1, 100_000], {
    about: 'The names under which a platform may store schemas.',
    edge: 'A new name beyond that is 422 `too_many_schemas`. Each takes up to MAX_ARCHIVE_BYTES in the catalog.',
  }),
  dumpDir: word('DUMP_DIR', 'path', './dumps', asIs, {
    about:
      "The folder of the dumps that /admin/drop-tenant makes, on the machine of the gateway that drops. Needs pg_dump of the server's version or later.",
    edge: 'Created where it is missing. A dump that cannot be written is 500 `dump_failed`, and nothing is dropped.',
  }),
  tenantDumpDays: integer(
    'TENANT_DUMP_DAYS',
    30,
    [1, 36_500],
    {
      about: 'How long the dumps in DUMP_DIR are kept.',
      edge: 'The gateway deletes those that are older by the time in their names.',
    },
    'days',
  ),
  templates: word('TEMPLATES', '`on` or `off`', 'on', onOrOff, {
    about:
      'Whether each archive of a platform has a template database, which proves that new tenants can be made and which they are copied from.',
    edge: '`off`: new databases run the files, and no release is proven.',
  }),
  jobAnswerMs: seconds('MIGRATE_ALL_ANSWER_SECS', 240, {
    about: 'How long /v2/migrate-all may take before it answers 202 with its `job_id`.',
    edge: 'Keep it below the timeouts of the proxies in between.',
  }),
  migrateConcurrency: integer('MIGRATE_CONCURRENCY', 8, [1, 1000], {
    about: 'The databases that are deployed to at once.',
    edge: 'A deploy that PostgreSQL refuses for want of memory or disk (SQLSTATE class 53) is tried once more when no other deploy of the gateway runs.',
  }),
  maxWaitingDeploys: integer('MAX_WAITING_DEPLOYS', 1000, [0, 1_000_000], {
    about: 'The deploys that wait for MIGRATE_CONCURRENCY.',
    edge: 'One more is 503 `pool_exhausted` at once.',
  }),
}

export const CONNECTIONS = {
  maxTotalConnections: integer('MAX_TOTAL_CONNECTIONS', 200, [4, 100_000], {
    about:
      'The open connections to PostgreSQL, of all databases and of all gateways on it together. Each gateway has an equal part.',
    edge: "Where PostgreSQL has fewer (`max_connections` less the reserved ones, the role's CONNECTION LIMIT), that many are opened, and the start logs a warning. A gateway needs 4: a limit that gives a gateway fewer is exceeded, with a warning.",
  }),
  maxConnectionsPerPool: integer('MAX_CONNECTIONS_PER_POOL', 10, [2, 100_000], {
    about: 'The connections to one database.',
    edge: 'Streams use at most half of them. Further calls wait.',
  }),
  maxConnectionsPerPlatform: integer('MAX_CONNECTIONS_PER_PLATFORM', Infinity, [2, 100_000], {
    none: 'no limit',
    restart: true,
    about: 'The connections to all databases of one platform together.',
    edge: 'Further calls wait.',
  }),
  maxQueuePerDatabase: integer('MAX_QUEUE_PER_DATABASE', 250, [1, 1_000_000], {
    about: 'The calls that wait for a connection to one database.',
    edge: 'One more is 503 `pool_exhausted` at once.',
  }),
  poolMaxLifetimeMs: seconds('POOL_MAX_LIFETIME_SECS', 3600, {
    about: 'The age at which a connection is closed.',
    edge: 'A call in progress ends first. Some connections are closed up to a quarter earlier, so that not all close at once.',
  }),
  poolIdleTimeoutMs: seconds('POOL_IDLE_TIMEOUT_SECS', 1800, {
    about: 'How long a connection stays open without a call.',
  }),
  poolWaitTimeoutMs: seconds('POOL_WAIT_TIMEOUT_SECS', 5, {
    about: 'How long a call waits for a connection.',
    edge: 'After that: 503 `pool_exhausted`.',
  }),
}
