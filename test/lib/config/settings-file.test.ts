import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Settings } from '../../../lib/config.ts'
import { reloadSettings } from '../../../lib/reload.ts'
import { temporaryFolder } from '../../helpers/process.ts'
import { tlsPath } from '../../helpers/tls.ts'

const PROTECTED = 'ADMIN_TOKEN=secret\nPLATFORM_NETWORKS=myapp=10.0.1.0/28\n'

/** Settings of a file, with what a reload logs and puts into force. */
async function openFile(text: string | Buffer, name?: string) {
  const folder = await temporaryFolder()
  const file = join(folder, name ?? '.env')
  await writeFile(file, text)
  const settings = new Settings(folder, name ? { SETTINGS_FILE: name } : {})
  let { config } = settings
  const reload = () => {
    const told: string[] = []
    const tell = (level: string) => (message: string) => told.push(`${level}: ${message}`)
    reloadSettings(
      settings,
      {
        reload: (next) => {
          config = next
        },
      },
      { info: tell('info'), warn: tell('warn'), error: tell('error') } as never,
    )
    return told
  }
  return { file, reload, current: () => config }
}

const UNREADABLE: [what: string, text: string | Buffer, problem: string][] = [
  ['is empty', '', 'is empty'],
  ['has blank lines alone', ' \n\n', 'is empty'],
  ['has a name without "="', `LOG_LEVEL=info\nADMIN_TOKEN secret\n`, 'line 2 is not NAME=value'],
  ['has a colon', 'ADMIN_TOKEN: secret\n', 'line 1 is not NAME=value'],
  ['has a hard space', 'ADMIN_TOKEN\u00a0=secret\n', 'line 1 is not NAME=value'],
  ['was filled with zeros', Buffer.alloc(64), 'line 1 is not NAME=value'],
  ['is UTF-16', Buffer.from('\ufeffADMIN_TOKEN=secret\r\n', 'utf16le'), 'is not UTF-8'],
  [
    'has quotes that are not closed',
    `LOG_LEVEL="info\nADMIN_TOKEN=secret\n`,
    'line 1 begins a value of LOG_LEVEL in quotes that are not closed',
  ],
  [
    'has quotes that close on the next setting',
    `\nNOTE="x\nADMIN_TOKEN="secret"\n`,
    'line 2 begins a value of NOTE in quotes that are not closed',
  ],
  [
    'has quotes that end with the file',
    `A=1\nNOTE='x`,
    'line 2 begins a value of NOTE in quotes that are not closed',
  ],
  ['has text behind quotes', 'ADMIN_TOKEN="a"b\n', 'line 1 has text behind the quotes of a value'],
  [
    'has a token with "#"',
    'ADMIN_TOKEN=#secret\n',
    'line 1 has a "#" in the value of ADMIN_TOKEN, which needs quotes around it',
  ],
]

describe.each(UNREADABLE)('A file that %s', (_, text, problem) => {
  test('stops the start, and changes nothing in a reload', async () => {
    await expect(openFile(text)).rejects.toThrow(problem)
    for (const name of [undefined, 'settings']) {
      const { file, reload, current } = await openFile(PROTECTED, name)
      await writeFile(file, text)
      const where = name === undefined ? file : `SETTINGS_FILE: ${file}`
      expect(reload()).toEqual([`error: ${where} ${problem}; the previous settings stay in force`])
      expect(current().adminToken).toBe('secret')
      // The next good one is taken.
      await writeFile(file, PROTECTED.replace('secret', 'other'))
      expect(reload()).toEqual(['info: Settings in force from now on: ADMIN_TOKEN'])
      expect(current().adminToken).toBe('other')
    }
  })
})

test('A file that was there and is missing at a reload changes nothing', async () => {
  for (const name of [undefined, 'settings']) {
    const { file, reload, current } = await openFile(PROTECTED, name)
    await rm(file)
    expect(reload()).toEqual([
      expect.stringMatching(
        /^error: .*(is missing|ENOENT).*; the previous settings stay in force$/,
      ),
    ])
    expect(current()).toMatchObject({ adminToken: 'secret', platformNetworks: expect.any(Map) })
  }
})

test('A .env may be missing at the start, and come and go later', async () => {
  const folder = await temporaryFolder()
  const settings = new Settings(folder, {})
  expect(settings.config.adminToken).toBeUndefined()
  expect(settings.readAgain().live).toEqual([])
  await writeFile(join(folder, '.env'), PROTECTED)
  expect(settings.readAgain().config.adminToken).toBe('secret')
  await rm(join(folder, '.env'))
  expect(() => settings.readAgain()).toThrow('is missing')
})

test('Lines are read as ever: marks, line ends, quotes, comments, export', async () => {
  const text = [
    '\ufeffADMIN_TOKEN=secret # of the console',
    'export NUMERIC_FORMAT = "string" # text',
    "  LOG_LEVEL='debug'",
    '# MAX_BODY_BYTES=7',
    '',
    'PEM="-----BEGIN X-----',
    'a=b # c',
    '-----END X-----"',
    'OTHER=a#b',
    'MAX_BODY_BYTES=',
    'CALLABLE_SCHEMAS=ext',
  ]
  for (const end of ['\n', '\r\n', '\r']) {
    const { current } = await openFile(text.join(end))
    expect(current()).toMatchObject({
      adminToken: 'secret',
      numericFormat: 'string',
      logLevel: 'debug',
      maxBodyBytes: 16 * 1024 * 1024,
      callableSchemas: ['ext'],
    })
  }
})

test('A reload that takes a protection away says so as a warning, and one that changes it does not', async () => {
  const all = [
    'ADMIN_TOKEN=secret',
    'ADMIN_NETWORKS=10.0.9.0/24',
    'ALLOWED_NETWORKS=10.0.1.0/24',
    'ALLOWED_HOSTS=gateway.internal',
    'CALLABLE_SCHEMAS=ext',
    'PLATFORM_NETWORKS=myapp=10.0.1.0/28',
    'PLATFORM_TOKENS=required',
    'TRUSTED_PROXIES=10.0.7.1',
    'MAX_BODY_BYTES=7',
  ]
  const { file, reload } = await openFile(all.join('\n'))
  await writeFile(file, 'ADMIN_TOKEN=\nPLATFORM_TOKENS=optional\n')
  const warnings = reload().filter((line) => line.startsWith('warn'))
  expect(warnings.sort()).toEqual([
    'warn: ADMIN_NETWORKS is no longer set: as ALLOWED_NETWORKS',
    'warn: ADMIN_TOKEN is no longer set: no token is asked for',
    'warn: ALLOWED_HOSTS is no longer set: any name, but for clients from loopback',
    'warn: ALLOWED_NETWORKS is no longer set: 127.0.0.0/8,10.0.1.0/24',
    'warn: CALLABLE_SCHEMAS is no longer set: the search path of the database (`public` where nothing else is set)',
    'warn: PLATFORM_NETWORKS is no longer set: all clients may name all platforms',
    'warn: TRUSTED_PROXIES is no longer set: clients have the addresses of their connections',
  ])
})

test('The name of a protection in small letters is an error', async () => {
  const { file, reload, current } = await openFile(PROTECTED)
  await writeFile(file, PROTECTED.replace('ADMIN_TOKEN', 'admin_token'))
  expect(reload()).toEqual([
    'error: admin_token: is no setting; is ADMIN_TOKEN meant?; the previous settings stay in force',
  ])
  expect(current().adminToken).toBe('secret')
})

describe('Files of TLS', () => {
  const files = (cert: string, ca = '') =>
    `TLS_CERT_FILE=${tlsPath(`${cert}.crt`)}\nTLS_KEY_FILE=${tlsPath('server.key')}\n${ca}`
  const clientCa = `TLS_CLIENT_CA_FILE=${tlsPath('authority.crt')}\n`

  test('Whether clients need certificates changes with a restart, and is not told to be in force', async () => {
    for (const [before, after] of [
      ['', clientCa],
      [clientCa, ''],
    ]) {
      const { file, reload, current } = await openFile(files('server', before))
      const { clientCa: was } = current().tls!
      await writeFile(file, files('server', after))
      const told = [
        'info: The settings have not changed',
        'warn: Settings that need a restart: TLS_CLIENT_CA_FILE',
      ]
      expect([reload(), reload()]).toEqual([told, told])
      expect(current().tls!.clientCa).toBe(was)
    }
    const { file, reload, current } = await openFile(files('server', clientCa))
    await writeFile(file, files('server', clientCa.replace('authority', 'other-authority')))
    expect(reload()).toEqual(['info: Settings in force from now on: TLS_CLIENT_CA_FILE'])
    expect(current().tls!.clientCa).toBe(tlsPath('other-authority.crt'))
  })

  test('Other files that cannot be used change nothing', async () => {
    const { file, reload, current } = await openFile(files('server'))
    await writeFile(file, `${files('renewed')}ADMIN_TOKEN=secret\n`)
    expect(reload()).toEqual([
      expect.stringMatching(/^error: TLS_KEY_FILE: .* is not the key .*the previous settings stay/),
    ])
    expect(current()).toMatchObject({ adminToken: undefined })
    await writeFile(file, `${files('server')}ADMIN_TOKEN=secret\n`)
    expect(reload()).toEqual(['info: Settings in force from now on: ADMIN_TOKEN'])
  })
})
