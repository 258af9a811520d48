import { parseDatabaseUrl, parseDatabaseUrls } from '../../postgres/hosts/server.ts'
import {
  parsePlacementLabels,
  parseServerConnections,
  parseServerReplicas,
  parseServers,
} from '../../servers/parse-servers.ts'
import { integer, list, named, optional, seconds, word } from '../setting.ts'
import { asIs, databaseCopy, databaseText, isolation, secretText } from '../values.ts'

/** Which PostgreSQL is meant; `DATABASE_PARTS` where this is not set. */
export const DATABASE_URL = optional('DATABASE_URL', 'URI', parseDatabaseUrl, {
  none: 'an embedded PostgreSQL in DATA_DIR',
  example: 'postgres://gateway_user:password@localhost:5432/db_gateway',
  restart: true,
  about:
    'The administrative connection, as libpq reads it: host, role and TLS (`sslmode`, `sslrootcert`, `sslcert`, `sslkey`) are used for every database. `?host=/folder` is a Unix-domain socket. `host1:port1,host2:port2` is a primary with its standbys, with `target_session_attrs=primary` (the default then) or `read-write`. `pooler=session` says that PgBouncer is between. The role creates databases and roles (CREATEDB, CREATEROLE).',
  edge: 'The catalog is in the named database. Where that is `postgres`, the catalog is in `db_gateway`, which the gateway creates, unless `postgres` already contains a catalog.',
  secret: true,
})

/** The same in parts, as the original gateway has them. */
export const DATABASE_PARTS = {
  host: optional('DB_HOST', 'host name', asIs, {
    none: '`localhost` where another DB_* setting is given',
    example: 'localhost',
    restart: true,
    about:
      'The parts of DATABASE_URL, where that is not set. Nothing in them is percent-encoded. One of them is enough: the others have the defaults of the original gateway.',
    edge: 'Ignored with a warning where DATABASE_URL is set.',
  }),
  port: optional('DB_PORT', 'number', integer('DB_PORT', 0, [1, 65_535], { about: '' }).parse, {
    none: '5432, likewise',
    example: '5432',
    restart: true,
    about: 'The port of DB_HOST.',
    edge: '1 to 65,535.',
  }),
  database: optional('DB_NAME', 'name', asIs, {
    none: '`postgres`, likewise',
    example: 'postgres',
    restart: true,
    about: 'The administrative database.',
  }),
  user: optional('DB_USER', 'name', asIs, {
    none: '`gateway_user`, likewise',
    example: 'gateway_user',
    restart: true,
    about: "The gateway's own role.",
  }),
  password: optional('DB_PASSWORD', 'text', asIs, {
    none: 'no password, likewise',
    restart: true,
    about: 'The password of DB_USER.',
    edge: 'Spaces around it belong to it.',
    secret: true,
  }),
}

export const SERVER = {
  readServers: list('DATABASE_READ_URLS', 'URIs, with commas between', parseDatabaseUrls, {
    restart: true,
    about:
      'Streaming replicas. Calls of STABLE and IMMUTABLE functions go there, and to the primary where no replica is current.',
    edge: 'Stops the start where neither DATABASE_URL nor DB_HOST names their primary.',
    secret: true,
  }),
  readMaxLagMs: seconds('DATABASE_READ_MAX_LAG_SECS', 5, {
    restart: true,
    about: 'How far a replica may be behind the primary.',
    edge: 'A replica that is further behind, or on another timeline, gets no calls. After a failover, a role that is not a member of `pg_read_all_stats` sees the new timeline of a replica at its next restartpoint.',
  }),
  servers: named('SERVERS', 'name=URI, with semicolons between', parseServers, {
    restart: true,
    about:
      'Further PostgreSQL servers, each with a name of small letters, digits, `-` and `_`. The server of DATABASE_URL is called `main`. Databases are on the server that `"server"`, PLACEMENT_LABELS or PLACEMENT names. See [servers](servers.md).',
    edge: 'A semicolon in a password is written %3B. A server that does not answer costs its own tenants alone; the start does not wait for it.',
    example: 'eu1=postgres://gateway_user:password@eu1:5432/db_gateway',
    secret: true,
  }),
  serverReplicas: named(
    'SERVER_READ_URLS',
    'name=URIs, with semicolons between',
    parseServerReplicas,
    {
      restart: true,
      about:
        'The streaming replicas of servers of SERVERS, as DATABASE_READ_URLS has those of `main`.',
      edge: 'Stops the start where SERVERS has not the name.',
      secret: true,
    },
  ),
  serverConnections: named(
    'SERVER_MAX_CONNECTIONS',
    'name=number, with semicolons between',
    parseServerConnections,
    {
      restart: true,
      about:
        'The connections that all gateways together open to each server of SERVERS, as MAX_TOTAL_CONNECTIONS says it of `main`.',
      edge: 'MAX_TOTAL_CONNECTIONS for a server that is not named. Stops the start where SERVERS has not the name.',
    },
  ),
  placement: word('PLACEMENT', 'name of a server, `databases`, `bytes` or `load`', 'main', asIs, {
    about:
      'The server of a new database where neither the request nor PLACEMENT_LABELS names one, and the main database of its platform is on `main`. `databases`, `bytes` and `load` take the server that has the fewest databases, the fewest bytes, or the fewest connections in use beside its budget.',
    edge: 'A server that does not answer within 2 s is not chosen for its room. Stops the start where SERVERS has not the name.',
  }),
  placementLabels: list(
    'PLACEMENT_LABELS',
    'label=value:server, with semicolons between',
    parsePlacementLabels,
    {
      about:
        'The servers of new tenants by the labels that they are created with. The first that fits counts.',
      edge: 'A server that does not answer is not replaced by another: 503 `connection_failed`. Stops the start where SERVERS has not the name.',
      example: 'plan=pro:eu1;region=eu:eu2',
    },
  ),
  secret: optional('GATEWAY_SECRET', 'text', secretText, {
    none: 'one that the first gateway makes and keeps',
    restart: true,
    about:
      "The passwords of the platforms' roles are derived from it. All gateways of one catalog have the same. A secret that the gateway made is kept in the catalog, where only the gateway's role reads it; with an embedded PostgreSQL, in DATA_DIR.",
    edge: 'At least 32 characters, such as of `openssl rand -hex 32`. A gateway with another secret than the catalog does not start.',
    secret: true,
  }),
  previousSecret: optional('GATEWAY_SECRET_PREVIOUS', 'text', secretText, {
    restart: true,
    about: 'The secret that GATEWAY_SECRET replaces.',
    edge: 'The new secret comes into force when every running gateway knows it.',
    secret: true,
  }),
  isolation: word('ISOLATION', '`platform-roles` or `shared`', 'platform-roles', isolation, {
    restart: true,
    about:
      '`platform-roles`: each platform has a role of its own, so that PostgreSQL keeps the platforms apart.',
    edge: '`shared`: the functions of all platforms run as the role of DATABASE_URL, and can reach all databases.',
  }),
  databaseCopy: word('DATABASE_COPY', '`wal_log` or `file_copy`', 'wal_log', databaseCopy, {
    restart: true,
    about: 'How PostgreSQL copies a database into a new one (`CREATE DATABASE … STRATEGY`).',
    edge: '`file_copy` takes a quarter of the CPU and forces two checkpoints: for servers that write little, and for disks that clone files (`file_copy_method` of PostgreSQL 18).',
  }),
  baseTemplate: word('BASE_TEMPLATE', 'name of a database', 'template0', databaseText, {
    restart: true,
    about:
      'The database that new databases are copied from, with extensions and settings that all of them have.',
    edge: 'Stops the start where the database does not exist. A session in it is in the way of new databases; template0 allows none.',
  }),
  dataDir: word('DATA_DIR', 'path', './data', asIs, {
    restart: true,
    about: 'The folder of the embedded PostgreSQL.',
    edge: 'Created where it is missing. Not used where DATABASE_URL or DB_HOST is set.',
  }),
  startTimeoutMs: seconds(
    'START_TIMEOUT_SECS',
    60,
    {
      restart: true,
      about: 'How long the start waits for PostgreSQL.',
      edge: '0 tries once. A wrong password, database or certificate stops the start at once.',
    },
    0,
  ),
  connectTimeoutMs: seconds('CONNECT_TIMEOUT_SECS', 10, {
    about: 'How long opening one connection to PostgreSQL may take.',
    edge: 'After that: 503 `connection_failed`.',
  }),
}
