import { describe, expect, test } from 'vitest'
import {
  forwardedForAddress,
  nodeAddress,
  parseForwarded,
  parseForwardedFor,
} from '../../../../lib/http/access/forwarded.ts'

describe('X-Forwarded-For', () => {
  test.each([
    ['', []],
    ['10.0.1.5', ['10.0.1.5']],
    ['10.0.1.5, 10.0.1.6,10.0.1.7', ['10.0.1.5', '10.0.1.6', '10.0.1.7']],
    ['10.0.1.5,', ['10.0.1.5', '']],
    [',', ['', '']],
  ])('%j has the entries %j', (header, entries) => {
    expect(parseForwardedFor(header)).toEqual(entries)
  })

  test.each([
    ['10.0.1.5', '10.0.1.5'],
    ['10.0.1.5:5678', '10.0.1.5'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:80', '2001:db8::1'],
    ['[::ffff:10.0.1.5]:80', '10.0.1.5'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('%s is the address %s', (entry, address) => {
    expect(forwardedForAddress(entry)?.toString()).toBe(address)
  })
})

describe('Forwarded', () => {
  test.each([
    ['', []],
    ['for=192.0.2.43', ['192.0.2.43']],
    ['For="[2001:db8:cafe::17]:4711"', ['[2001:db8:cafe::17]:4711']],
    ['for=192.0.2.60;proto=http;by=203.0.113.43', ['192.0.2.60']],
    ['proto=http; for=192.0.2.60', ['192.0.2.60']],
    ['for=192.0.2.43, for=198.51.100.17', ['192.0.2.43', '198.51.100.17']],
    ['for=_hidden , for=unknown', ['_hidden', 'unknown']],
    ['for="192.0.2.43:47011",for="_gaz\\"onk"', ['192.0.2.43:47011', '_gaz"onk']],
    ['by="a, for=10.0.1.5;x=\\", for=10.0.1.5";for=192.0.2.1', ['192.0.2.1']],
    ['host=example.com', ['']],
    ['for=192.0.2.43;', ['192.0.2.43']],
    ['for=192.0.2.43,', ['192.0.2.43', '']],
  ])('%j names %j', (header, nodes) => {
    expect(parseForwarded(header)).toEqual(nodes)
  })

  test.each([
    'for=10.0.1.5;x="',
    'for=10.0.1.5;x=", for="[2001:db8::1]"',
    'for=10.0.1.5;x="\\", for="[2001:db8::1]"',
    'for=10.0.1.5;for=10.0.1.6',
    'for=10.0.1.5;FOR=10.0.1.6',
    'for=10.0.1.5:80',
    'for=[2001:db8::1]',
    'for = 10.0.1.5',
    'for=',
    'for',
    '10.0.1.5',
    'for="10.0.1.5"x',
    "for='10.0.1.5', for=a b",
  ])('%j does not follow the standard', (header) => {
    expect(parseForwarded(header)).toBeUndefined()
  })

  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:80', '192.0.2.1'],
    ['192.0.2.1:_port', '192.0.2.1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:4711', '2001:db8::1'],
    ['[2001:db8::1]:_a.b-c', '2001:db8::1'],
    ['[::ffff:10.0.1.5]', '10.0.1.5'],
  ])('a node %s is the address %s', (node, address) => {
    expect(nodeAddress(node)?.toString()).toBe(address)
  })

  test.each([
    '',
    'unknown',
    '_hidden',
    '2001:db8::1',
    '[192.0.2.1]',
    '[192.0.2.1]:80',
    '[2001:db8::1',
    '[2001:db8::g]',
    '192.0.2.256',
    '192.0.2',
    '017.0.0.1',
    '192.0.2.1:',
    '192.0.2.1:65536',
    '192.0.2.1:_',
    ' 192.0.2.1',
    '192.0.2.1\n',
  ])('a node %j is no address', (node) => {
    expect(nodeAddress(node)).toBeUndefined()
  })
})
