import { describe, expect, test } from 'vitest'
import { readConfig } from '../../../../lib/config.ts'
import { crossSiteProblem } from '../../../../lib/http/access/cross-site.ts'

const NONE = { allowedOrigins: [], allowedHosts: undefined }
const SET = {
  allowedOrigins: ['https://console.example'],
  allowedHosts: ['gateway.internal'],
}

type Case = [headers: Record<string, string>, isLoopback: boolean, isRefused: boolean]

describe('C1: what a browser sends from elsewhere', () => {
  test.each<Case>([
    [{ host: 'gw' }, false, false],
    [{ host: '127.0.0.1:9000' }, true, false],
    [{ host: 'LOCALHOST:9000' }, true, false],
    [{ host: '[::1]:9000' }, true, false],
    [{}, true, false],
    [{ host: 'evil.example:9000' }, true, true],
    [{ host: 'localhost.evil.example' }, true, true],
    [{ host: '127.0.0.1.evil.example' }, true, true],
    [{ host: 'gw', 'sec-fetch-site': 'cross-site' }, false, true],
    [{ host: 'gw', 'sec-fetch-site': 'same-site' }, false, true],
    [{ host: 'gw', 'sec-fetch-site': 'same-origin' }, false, false],
    [{ host: 'gw', 'sec-fetch-site': 'none' }, false, false],
    [{ host: 'gw:9000', origin: 'http://gw:9000' }, false, false],
    [{ host: 'gw', origin: 'https://GW:443' }, false, false],
    [{ host: 'gw:9000', origin: 'http://gw' }, false, true],
    [{ host: 'gw', origin: 'https://evil.example' }, false, true],
    [{ host: 'gw', origin: 'https://gw.evil.example' }, false, true],
    [{ host: 'gw', origin: 'null' }, false, true],
    [{ host: 'gw', origin: 'file://gw' }, false, true],
    [{ host: 'gw', origin: '' }, false, true],
    [{ host: 'gw', origin: 'https://gw', 'sec-fetch-site': 'cross-site' }, false, true],
  ])('%j, loopback %s: refused %s', (headers, isLoopback, isRefused) => {
    expect(crossSiteProblem(headers, isLoopback, NONE) !== undefined).toBe(isRefused)
  })

  test('a link of another site opens a page, and nothing else', () => {
    const link = { host: 'gw', 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'document' }
    expect(crossSiteProblem(link, false, NONE, true)).toBeUndefined()
    expect(crossSiteProblem(link, false, NONE)).toBeDefined()
    for (const dest of ['iframe', 'empty', 'script', 'object']) {
      const other = { ...link, 'sec-fetch-dest': dest }
      expect([dest, crossSiteProblem(other, false, NONE, true)]).toEqual([dest, expect.any(String)])
    }
    const rebound = { ...link, host: 'evil.example' }
    expect(crossSiteProblem(rebound, true, NONE, true)).toBeDefined()
    expect(
      crossSiteProblem({ ...link, origin: 'https://evil.example' }, false, NONE, true),
    ).toBeDefined()
  })

  test.each<Case>([
    [{ host: 'gateway.internal:9000' }, false, false],
    [{ host: 'Gateway.Internal' }, true, false],
    [{ host: '10.0.1.5' }, false, false],
    [{ host: 'other' }, false, true],
    [{ host: 'gateway.internal', origin: 'https://console.example' }, false, false],
    [
      {
        host: 'gateway.internal',
        origin: 'https://console.example',
        'sec-fetch-site': 'cross-site',
      },
      false,
      false,
    ],
    [{ host: 'other', origin: 'https://console.example' }, false, true],
    [{ host: 'gateway.internal', origin: 'http://console.example' }, false, true],
    [{ host: 'gateway.internal', origin: 'null' }, false, true],
  ])('with settings: %j, loopback %s: refused %s', (headers, isLoopback, isRefused) => {
    expect(crossSiteProblem(headers, isLoopback, SET) !== undefined).toBe(isRefused)
  })

  test('the answer says what to set', () => {
    expect(crossSiteProblem({ host: 'gw' }, true, NONE)).toContain('ALLOWED_HOSTS')
    expect(crossSiteProblem({ host: 'gw', origin: 'http://a' }, false, NONE)).toContain(
      'ALLOWED_ORIGINS',
    )
  })
})

describe('its settings', () => {
  test('are lists', () => {
    const { allowedOrigins, allowedHosts } = readConfig({
      ALLOWED_ORIGINS: 'https://Console.example, http://a:8080',
      ALLOWED_HOSTS: 'Gateway.internal,gw',
    })
    expect(allowedOrigins).toEqual(['https://console.example', 'http://a:8080'])
    expect(allowedHosts).toEqual(['gateway.internal', 'gw'])
    expect(readConfig({})).toMatchObject({ allowedOrigins: [], allowedHosts: undefined })
  })

  test.each([
    ['ALLOWED_ORIGINS', 'console.example'],
    ['ALLOWED_ORIGINS', 'null'],
    ['ALLOWED_ORIGINS', 'https://console.example/'],
    ['ALLOWED_HOSTS', 'gw:9000'],
    ['ALLOWED_HOSTS', 'http://gw'],
  ])('%s=%s stops the start', (name, value) => {
    expect(() => readConfig({ [name]: value })).toThrow(`${name}: "${value}"`)
  })
})
