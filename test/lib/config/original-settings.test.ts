import { describe, expect, test } from 'vitest'
import { forgetSecrets } from '../../../lib/config/secrets.ts'
import { ConfigError, readConfig } from '../../../lib/config.ts'
import { describeServer, parseDatabaseUrl } from '../../../lib/postgres/hosts/server.ts'
import { databaseUrlOf, startTestGateway } from '../../helpers/gateway.ts'
import { eventually } from '../../helpers/process.ts'

describe('DB_HOST and its like', () => {
  test('name the PostgreSQL where DATABASE_URL does not, with a password as it is', () => {
    const { server, warnings } = readConfig({
      DB_HOST: 'db.internal',
      DB_PORT: '6432',
      DB_NAME: 'admin',
      DB_USER: 'gate',
      DB_PASSWORD: ' p@ss/w?rd#%41: ',
    })
    expect(server).toMatchObject({
      host: 'db.internal',
      port: 6432,
      database: 'admin',
      user: 'gate',
      password: ' p@ss/w?rd#%41: ',
    })
    expect(warnings).toEqual([])
  })

  test.each([
    [{ DB_HOST: 'one' }, 'gateway_user@one:5432/postgres'],
    [{ DB_PASSWORD: 'secret' }, 'gateway_user@localhost:5432/postgres'],
    [{ DB_HOST: '/run/postgresql', DB_USER: 'a b' }, 'a b@/run/postgresql/postgres'],
    [{ DB_HOST: '::1', DB_NAME: 'x/y' }, 'gateway_user@::1:5432/x/y'],
  ])('have the defaults of the original: %j', (env, described) => {
    expect(describeServer(readConfig(env).server!)).toBe(described)
  })

  test('have no effect beside DATABASE_URL, which one warning says', () => {
    const { server, warnings } = readConfig({
      DATABASE_URL: 'postgres://u@one/db',
      DB_HOST: 'two',
      DB_PASSWORD: 'Tr0ub4dor',
      ALLOWED_ADMIN_IPS: '10.0.1.0/24',
      ADMIN_NETWORKS: '10.0.2.0/24',
      LOG_DIR: '/var/log/gateway',
      DATA_DIR: '/opt/gateway/data',
    })
    expect(server?.host).toBe('one')
    expect(warnings).toEqual([
      'Settings without effect: DB_HOST, DB_PASSWORD (DATABASE_URL is set), ' +
        'ALLOWED_ADMIN_IPS (ADMIN_NETWORKS is set), LOG_DIR (the log goes to standard output)',
    ])
  })

  test('that do not parse stop the start', () => {
    expect(() => readConfig({ DB_HOST: 'one', DB_PORT: 'x' })).toThrow(
      'DB_PORT: "x" is not a whole number from 1 to 65535',
    )
  })

  test('leave no password in the environment', () => {
    const env: Record<string, string> = { DB_PASSWORD: 'Tr0ub4dor', DB_HOST: 'one' }
    forgetSecrets(env)
    expect(env).toEqual({ DB_HOST: 'one' })
  })
})

describe('ALLOWED_ADMIN_IPS', () => {
  test('is ADMIN_NETWORKS', () => {
    const env = { DB_HOST: 'one', ALLOWED_ADMIN_IPS: '10.0.1.0/24' }
    const { adminNetworks } = readConfig(env)
    expect(adminNetworks).toEqual(readConfig({ ADMIN_NETWORKS: '10.0.1.0/24' }).adminNetworks)
    const both = readConfig({ ...env, ADMIN_NETWORKS: '10.0.2.0/24' })
    expect(both.adminNetworks).toEqual(readConfig({ ADMIN_NETWORKS: '10.0.2.0/24' }).adminNetworks)
  })
})

describe('what is of the original starts no empty PostgreSQL where none is named', () => {
  test.each([
    ['ALLOWED_ADMIN_IPS', '10.0.1.0/24'],
    ['DATA_DIR', '/opt/stonescriptdb-gateway/data'],
    ['LOG_DIR', '/var/log/stonescriptdb-gateway'],
    ['RUST_LOG', 'info,stonescriptdb_gateway=debug'],
  ])('%s=%s', (name, value) => {
    const read = () => readConfig({ [name]: value })
    expect(read).toThrow(ConfigError)
    expect(read).toThrow(new RegExp(`^${name}: .*set DATABASE_URL or DB_HOST`))
    expect(readConfig({ [name]: value, DB_HOST: 'one' }).server?.host).toBe('one')
  })

  test('others of these names do', () => {
    const env = { DATA_DIR: '/var/lib/db-gateway', LOG_DIR: '/var/log/others', RUST_LOG: 'debug' }
    expect(readConfig(env).server).toBeUndefined()
  })
})

describe('a setting that is nearly one of ours', () => {
  test.each([
    ['ALLOWED_NETWORK', 'ALLOWED_NETWORKS'],
    ['ALOWED_NETWORKS', 'ALLOWED_NETWORKS'],
    ['ADMIN_TOKNE', 'ADMIN_TOKEN'],
    ['GATEWAY_PROT', 'GATEWAY_PORT'],
    ['MAX_CONNECTIONS', 'MAX_CONNECTIONS_PER_POOL'],
    ['TLS_CERT', 'TLS_CERT_FILE'],
    ['DB_PASS', 'DB_PASSWORD'],
  ])('%s is named in a warning with %s, which is meant', (name, meant) => {
    const { warnings } = readConfig({ DATABASE_URL: 'postgres://u@one/db', [name]: '1' })
    expect(warnings).toEqual([`${name} is no setting: is ${meant} meant?`])
  })

  test.each(['DATABASE_URI', 'DATABSE_URL', 'DB_HOSTS', 'DB_PASS'])(
    '%s starts no empty PostgreSQL',
    (name) => {
      expect(() => readConfig({ [name]: 'one' })).toThrow(
        /^DB_|^DATAB\w+: is no setting; is \w+ meant\?/,
      )
    },
  )

  test.each('DB_HOSTNAME DATABASE_HOST DB_URL PGHOST POSTGRES_HOST POSTGRES_URL PG_URL'.split(' '))(
    '%s, which names a PostgreSQL in other words, starts none on this machine',
    (name) => {
      const told = new RegExp(`^${name}: is no setting of the gateway; set DATABASE_URL`)
      expect(() => readConfig({ [name]: 'db1' })).toThrow(told)
      expect(() => readConfig({ [name]: 'db1', DB_USER: 'u' })).toThrow(told)
      expect(readConfig({ [name]: 'db1', DB_HOST: 'one' }).server?.host).toBe('one')
    },
  )

  test('is none that every process has, nor those of others', () => {
    const names =
      'PATH HOME HOSTNAME HOST PORT USER LANG LC_ALL TZ TERM SHELL PWD OLDPWD SHLVL LOGNAME MAIL EDITOR ' +
      'NODE_ENV NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS LISTEN_FDS LISTEN_PID NOTIFY_SOCKET INVOCATION_ID ' +
      'JOURNAL_STREAM XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS SSH_CONNECTION SSH_CLIENT SUDO_USER TMPDIR ' +
      'PGPORT PGUSER PGPASSWORD PGDATABASE POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB ' +
      'KUBERNETES_SERVICE_HOST KUBERNETES_PORT HTTP_PROXY HTTPS_PROXY NO_PROXY RUST_BACKTRACE DEBUG CI ' +
      'npm_config_loglevel npm_package_name _ APP_SECRET SSL_CERT_FILE SSL_CERT_DIR NODE_HOST TLS_KEY DATA LOG'
    const env = Object.fromEntries(names.split(' ').map((name) => [name, '1']))
    expect(readConfig({ ...env, ALLOWED_NETWORK: '' }).warnings).toEqual([
      'TLS_KEY is no setting: is TLS_KEY_FILE meant?',
    ])
  })
})

test.each([
  'postgres://u:p@ss@host:5432/db',
  'postgres://u:p/ss@host:5432/db',
  'postgres://u:p?ss@host:5432/db',
  'postgres://u:p#ss@host:5432/db',
  'postgres://u:p%ss@host:5432/db',
  'postgres://u:12/ss@host:5432/db',
  'postgres://u:12?ss@host:5432/db',
])('a password that has to be encoded is told so, without it: %s', (DATABASE_URL) => {
  expect(() => readConfig({ DATABASE_URL })).toThrow(
    /^DATABASE_URL: .*in a password, "@" is written %40.*DB_PASSWORD takes it as it is/,
  )
  expect(() => readConfig({ DATABASE_URL })).not.toThrow(/u:|ss@|p.ss[^w]/)
})

test('the start says the version, who may ask, and what probably is a slip', async () => {
  const env = { ALLOWED_NETWORK: '10.0.0.0/8', ADMIN_TOKEN: 'Tr0ub4dor', ADMIN_NETWORKS: '::1' }
  const gateway = await startTestGateway(env)
  try {
    const line = await eventually('the line of the start', () =>
      gateway.logged.find(({ message }) => message?.startsWith('Listening on')),
    )
    expect(line).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      isolation: 'platform-roles',
      networks: '127.0.0.0/8,10.0.1.0/24',
      admin_networks: expect.stringMatching(/1\/128$/),
      admin_token: 'set',
    })
    expect(gateway.logged.map(({ message }) => message)).toContain(
      'ALLOWED_NETWORK is no setting: is ALLOWED_NETWORKS meant?',
    )
    expect(JSON.stringify(gateway.logged)).not.toContain('Tr0ub4dor')
  } finally {
    await gateway.stop()
  }
})

test('DB_HOST and its like name the same server as the DATABASE_URL that has them encoded', () => {
  const working = parseDatabaseUrl(databaseUrlOf('postgres'))
  const { server } = readConfig({
    DB_HOST: working.host,
    DB_PORT: String(working.port),
    DB_USER: working.user,
    DB_PASSWORD: working.password,
  })
  expect(server).toEqual(working)
})
