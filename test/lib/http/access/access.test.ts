import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isInNetworks, parseAddress, parseNetworks } from '../../../../lib/http/access/networks.ts'
import { startTestGateway, type TestGateway } from '../../../helpers/gateway.ts'

const isIn = (address: string, networks: string) =>
  isInNetworks(parseAddress(address)!, parseNetworks(networks))

describe('networks', () => {
  test.each([
    ['10.0.1.7', '10.0.1.0/24', true],
    ['10.0.2.7', '10.0.1.0/24', false],
    ['10.0.1.7', '10.0.1.7', true],
    ['::ffff:10.0.1.7', '10.0.1.0/24', true],
    ['10.0.1.7', '::ffff:10.0.1.0/120', true],
    ['::ffff:0a00:0107', '10.0.1.0/24', true],
    ['fd00::1', 'fd00::/8', true],
    ['fe80::1%eth0', 'fe80::/10', true],
    ['fd00::1', '10.0.0.0/8', false],
    ['10.0.0.1', '::/0', false],
    ['10.0.0.1', ' 192.168.0.0/16 , 10.0.0.0/8 ', true],
    ['10.0.0.1', '', false],
  ])('%s in %j: %s', (address, networks, expected) => {
    expect(isIn(address, networks)).toBe(expected)
  })

  test.each([
    '10.0.0.0/33',
    '10.0.0.0/',
    '10/8',
    'fd00::/129',
    'host',
    '10.0.0.256',
    '0x0a.1.1.1/8',
  ])('%j is refused by name', (network) => {
    expect(() => parseNetworks(`127.0.0.1,${network}`)).toThrow(`"${network}"`)
  })

  test.each(['', '10', '0x7f000001', '10.0.0.1:80', '[::1]', '127.1', '017.0.0.1'])(
    '%j is not an address',
    (text) => {
      expect(parseAddress(text)).toBeUndefined()
    },
  )
})

describe('behind a proxy', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({
      ALLOWED_NETWORKS: '10.0.1.0/24',
      TRUSTED_PROXIES: '127.0.0.0/8,10.9.0.0/16',
    })
  })
  afterAll(() => gateway.stop())

  const statusFor = async (forwarded: string) =>
    (await gateway.get('/admin/databases?platform=p', { 'x-forwarded-for': forwarded })).status

  test.each([
    ['10.0.1.5', 200],
    ['10.0.2.5', 403],
    ['evil, 10.0.1.5', 200],
    ['10.0.1.5, 10.0.2.5', 403],
    ['10.0.2.5, 10.0.1.5, 10.9.3.3', 200],
    ['10.0.1.5, 10.0.2.5, 10.9.3.3, 127.0.0.2', 403],
    ['10.0.1.5, nonsense', 403],
    ['10.0.1.5,', 403],
    ['::ffff:10.0.1.5', 200],
    ['127.0.0.1', 200],
    ['10.0.1.5:5678', 200],
    ['10.0.2.5:5678', 403],
    ['[::ffff:10.0.1.5]:80', 200],
    ['10.0.2.5, 10.0.1.5:1, 10.9.3.3:2', 200],
    ['unknown', 403],
  ])('X-Forwarded-For: %s is answered %i', async (forwarded, status) => {
    expect(await statusFor(forwarded)).toBe(status)
  })

  test.each([
    ['for=10.0.1.5', 200],
    ['for=10.0.2.5', 403],
    ['for="10.0.1.5:4711";proto=https', 200],
    ['for=evil, for=10.0.1.5', 200],
    ['for=10.0.1.5, for=10.0.2.5', 403],
    ['for=10.0.2.5, for=10.0.1.5, For="10.9.3.3:80";by=_us', 200],
    ['for=10.0.1.5, for=10.0.2.5, for=10.9.3.3', 403],
    ['for="[::ffff:10.0.1.5]"', 200],
    ['for="[2001:db8::1]:4711"', 403],
    ['for=10.0.1.5, for=_hidden', 403],
    ['for=10.0.1.5, for=unknown', 403],
    ['for=_hidden, for=10.0.1.5', 200],
    ['for=10.0.1.5, proto=http', 403],
    ['for=10.0.1.5;x=", for=10.0.2.5', 403],
    ['for=10.0.1.5,', 403],
  ])('Forwarded: %s is answered %i', async (forwarded, status) => {
    const answer = await gateway.get('/admin/databases?platform=p', { forwarded })
    expect(answer.status).toBe(status)
  })

  // A proxy writes one of them, and hands on what the client sent as the other.
  test.each([
    ['10.0.1.5', 'for=10.0.1.5', 200],
    ['10.0.3.3, 10.0.1.5', 'for="10.0.1.5:80", for=10.9.3.3', 200],
    ['10.0.1.5', 'for=10.0.2.5', 403],
    ['10.0.2.5', 'for=10.0.1.5', 403],
    ['10.0.1.5', 'for=10.0.1.6', 403],
    ['10.0.1.5', 'for=unknown', 403],
    ['unknown', 'for=10.0.1.5', 403],
    ['10.0.1.5', 'nonsense', 403],
    ['nonsense', 'for=10.0.1.5', 403],
    ['', 'for=10.0.1.5', 200],
    ['10.0.1.5', '', 200],
  ])('X-Forwarded-For: %s with Forwarded: %s is answered %i', async (list, forwarded, status) => {
    const answer = await gateway.get('/admin/databases?platform=p', {
      'x-forwarded-for': list,
      forwarded,
    })
    expect(answer.status).toBe(status)
  })

  test.each([
    ['x-forwarded-for', ['10.0.1.5', '10.0.2.5'], 403],
    ['x-forwarded-for', ['10.0.2.5', '10.0.1.5'], 200],
    ['forwarded', ['for=10.0.1.5', 'for=10.0.2.5'], 403],
    ['forwarded', ['for=10.0.2.5', 'for=10.0.1.5'], 200],
    ['forwarded', ['for=10.0.1.5;x="', 'for=10.0.2.5'], 403],
    ['forwarded', ['for=10.0.1.5', 'x=";for=10.0.2.5'], 403],
  ])('of two lines of %s, %j, the second counts: %i', async (name, lines, status) => {
    const sent = request(`${gateway.url}/admin/pools`, { headers: { [name]: lines } }).end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    answer.resume()
    expect(answer.statusCode).toBe(status)
  })

  test.each([
    [{ forwarded: 'for="' }, 'Forwarded does not follow RFC 7239'],
    [{ forwarded: 'for=_hidden' }, 'Forwarded does not name the address of the client'],
    [{ 'x-forwarded-for': '?' }, 'X-Forwarded-For does not name the address of the client'],
    [
      { 'x-forwarded-for': '10.0.1.5', forwarded: 'for=10.0.1.6' },
      'X-Forwarded-For and Forwarded do not name the same client',
    ],
  ])('the error says what is wrong with %j', async (headers, message) => {
    const { status, body } = await gateway.get('/x', headers as Record<string, string>)
    expect([status, body]).toEqual([403, { error: 'unauthorized', message }])
  })

  test('the log and the error tell the client’s address, not the proxy’s', async () => {
    const { body } = await gateway.get('/nowhere', { 'x-forwarded-for': '203.0.113.9' })
    expect(body).toEqual({
      error: 'unauthorized',
      message: 'The address 203.0.113.9 is not in ALLOWED_NETWORKS',
    })
    expect(gateway.logged.at(-1)).toMatchObject({ status: 403, address: '203.0.113.9' })
  })

  test('/health is open to every address, and tells a stranger the status alone', async () => {
    const stranger = await gateway.get('/health', { 'x-forwarded-for': '203.0.113.9' })
    expect([stranger.status, stranger.body]).toEqual([200, { status: 'healthy' }])
    const friend = await gateway.get('/health', { 'x-forwarded-for': '10.0.1.5' })
    expect(friend.body).toMatchObject({ status: 'healthy', postgres_connected: true })
  })
})

describe('without trusted proxies', () => {
  let gateway: TestGateway
  beforeAll(async () => {
    gateway = await startTestGateway({ ADMIN_TOKEN: 'correct horse'.replace(' ', '-') })
  })
  afterAll(() => gateway.stop())

  test('X-Forwarded-For and Forwarded are just text', async () => {
    const { status } = await gateway.get('/admin/databases?platform=p', {
      'x-forwarded-for': '203.0.113.9',
      forwarded: 'for="',
      authorization: 'Bearer correct-horse',
    })
    expect(status).toBe(200)
  })

  test.each([
    [undefined, 401],
    ['Bearer wrong', 401],
    ['Bearer correct-hors', 401],
    ['Basic correct-horse', 401],
    ['Bearer correct-horse', 200],
    ['bearer correct-horse', 200],
  ])('an admin request with Authorization %j is answered %i', async (authorization, status) => {
    const answer = await gateway.get(
      '/admin/databases?platform=p',
      authorization ? { authorization } : {},
    )
    expect(answer.status).toBe(status)
    if (status === 401) {
      expect(answer.body.error).toBe('unauthorized')
      expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    }
  })

  test('other endpoints need no token', async () => {
    expect((await gateway.get('/health')).status).toBe(200)
    expect((await gateway.call('nobody', 'f')).status).toBe(404)
  })

  test('a path with a broken escape is a 400, not more', async () => {
    const { port } = new URL(gateway.url)
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), '127.0.0.1')
      let text = ''
      socket.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text))
      socket.on('error', reject)
      socket.write('GET /%ff%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    })
    expect(answer).toMatch(/^HTTP\/1.1 400/)
    expect(answer).toContain('"error":"invalid_request"')
  })
})
