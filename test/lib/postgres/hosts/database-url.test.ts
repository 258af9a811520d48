import { describe, expect, test } from 'vitest'
import { ConfigError, readConfig } from '../../../../lib/config.ts'
import { describeServer, parseDatabaseUrl } from '../../../../lib/postgres/hosts/server.ts'

describe('DATABASE_URL with several hosts', () => {
  test.each([
    ['postgres://u:p@one:1,two:2/db', 'u@one:1,two:2/db'],
    ['postgres://u@one,two:2/db', 'u@one:5432,two:2/db'],
    ['postgres://u@[::1]:1,[::2]/db', 'u@::1:1,::2:5432/db'],
    ['postgres://u@/db?host=one,two&port=1,2', 'u@one:1,two:2/db'],
    ['postgres://u@/db?host=/run/one,/run/two&port=7', 'u@/run/one,/run/two/db'],
    ['postgres://u@one,two/db?port=7', 'u@one:7,two:7/db'],
    ['postgres://u@%2Frun%2Fone,two/db', 'u@/run/one,two:5432/db'],
  ])('is read as libpq does: %s', (url, described) => {
    expect(describeServer(parseDatabaseUrl(url))).toBe(described)
  })

  test.each([
    ['postgres://u@one,two/db', 'primary'],
    ['postgres://u@one,two/db?target_session_attrs=read-write', 'read-write'],
    ['postgres://u@one/db', 'any'],
    ['postgres://u@one/db?target_session_attrs=primary', 'primary'],
  ])('asks for a server that takes writes: %s', (url, attrs) => {
    expect(parseDatabaseUrl(url).sessionAttrs).toBe(attrs)
  })

  test.each([
    ['postgres://u:secret@one,two/db?target_session_attrs=any', 'target_session_attrs "any"'],
    [
      'postgres://u:secret@one/db?target_session_attrs=standby',
      'it takes any, primary, read-write',
    ],
    [
      'postgres://u:secret@one,two/db?target_session_attrs=read-only',
      'it takes primary, read-write',
    ],
    ['postgres://u:secret@one,two/db?target_session_attrs=prefer-standby', 'prefer-standby'],
    ['postgres://u:secret@one,two/db?port=1,2,3', 'has 2 hosts and 3 ports'],
    ['postgres://u:secret@one,two:99999/db', 'has a port that is not a number from 1 to 65535'],
  ])('that cannot be is a setting that does not parse: %s', (url, message) => {
    const read = () => readConfig({ DATABASE_URL: url })
    expect(read).toThrow(ConfigError)
    expect(read).toThrow(/^DATABASE_URL: (?!.*secret)/)
    expect(read).toThrow(message)
  })

  test('is not for replicas', () => {
    const read = (url: string) => () =>
      readConfig({ DATABASE_URL: 'postgres://u@one/db', DATABASE_READ_URLS: url })
    expect(read('postgres://u@one,two/db')).toThrow(/^DATABASE_READ_URLS: number 1 has a comma/)
    expect(read('postgres://u@one/db?target_session_attrs=primary')).toThrow(
      'number 1 has target_session_attrs, which is for DATABASE_URL',
    )
  })
})

describe('a DATABASE_URL with a slip in it', () => {
  // Each of them was found by the fuzz tests: what is in the place of the port is the password.
  test.each([
    'postgres://user:Tr0ub4dor\0host:5432/db',
    'postgres://user:Tr0ub4dor/db',
    'postgres://user:Tr0ub4dor\r\nhost:5432/db',
    'postgres://user:\nTr0ub4dor host:5432/db',
    'postgres://user@host/db?sslmode=require,postgres://user:Tr0ub4dor@host/db',
    'postgres://user@host/db?target_session_attrs=any,postgres://user:Tr0ub4dor@host/db',
    'postgres://user@host/db?sslrootcert=,postgres://user:Tr0ub4dor@host/db',
    'postgres://user@host/db?Tr0ub4dor',
  ])('stops the start without telling the password: %j', (url) => {
    expect.assertions(2)
    try {
      readConfig({ DATABASE_URL: url })
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError)
      expect((error as Error).message).toMatch(/^DATABASE_URL: (has|is) (?!.*Tr0ub4dor)/s)
    }
  })
})
