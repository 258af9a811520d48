import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { afterTest } from '../helpers/after-test.ts'
import { cli } from '../helpers/cli.ts'
import { listen } from '../helpers/losing-proxy.ts'
import { temporaryFolder } from '../helpers/process.ts'

let folder: string
beforeEach(async () => {
  folder = await temporaryFolder()
  await cli(['init', '--platform', 'p'], { folder })
})

/** Runs commands against a server that gives each request the same answer. */
async function against(answer: RequestListener, commands: string[]): Promise<string[]> {
  const server = createServer((request, response) => {
    request.resume()
    answer(request, response)
  })
  const url = await listen(server)
  afterTest(() => {
    server.closeAllConnections()
    server.close()
  })
  const results: string[] = []
  for (const command of commands) {
    const { code, out, err } = await cli([...command.split(' '), '--url', url], { folder })
    const said = (out + err).replaceAll(url, 'URL').replace(/^postgresql {2}3 files.*\n/, '')
    results.push(`${code} ${said.trim()}`)
  }
  return results
}

const page: RequestListener = (_, response) => {
  response.writeHead(200, { 'content-type': 'text/html' }).end('<html>')
}
const moved: RequestListener = (_, response) => {
  response.writeHead(301, { location: 'https://other.example/' }).end('{"rows":[]}')
}
const nothing: RequestListener = (_, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end('null')
}
const ALL = [
  ...['register', 'register --json', 'migrate', 'plan', 'call f', 'call f --json', 'status'],
  ...['types', 'types --language php', 'logs --json', 'tenants create a', 'tenants list --json'],
]

describe('what answers and is no gateway is a failure', () => {
  test.each([
    ['a page', page, 'answers 200, but not as a Database Gateway: name the gateway with --url'],
    [
      'another address',
      moved,
      'answers 301 and names https://other.example/: name the gateway itself with --url',
    ],
    ['JSON', nothing, 'answers 200, but not as a Database Gateway: name the gateway with --url'],
  ])('%s', async (_, answer, message) => {
    for (const result of await against(answer, ALL)) {
      expect(result).toContain(`URL ${message}`)
      expect(result[0]).toBe('1')
    }
  })
})

test('a document of before stays where what answers is no gateway', async () => {
  const out = join(folder, 'db.ts')
  await writeFile(out, 'before')
  for (const answer of [page, moved]) await against(answer, [`types --out ${out}`])
  expect(await readFile(out, 'utf8')).toBe('before')
})

test('an answer that breaks says what may have become of the request', async () => {
  const cut: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '99' })
    response.write('{"rows":', () => response.destroy())
  }
  const lines: RequestListener = (_, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.write('{"status":"running"}\n', () => response.destroy())
  }
  const gone: RequestListener = (_, response) => void response.destroy()
  const left = 'The gateway finishes what it has begun; the same command again does what is left'
  const looked = 'The gateway may have done what was asked: look before you ask again'
  expect(await against(cut, ['status', 'register', 'call f'])).toEqual([
    '1 The connection to URL broke. Nothing is changed: try again',
    `1 The connection to URL broke. ${left}`,
    `1 The connection to URL broke. ${looked}`,
  ])
  expect(await against(lines, ['migrate'])).toEqual([`1 The connection to URL broke. ${left}`])
  expect(await against(gone, ['call f', 'status'])).toEqual([
    `1 URL gives no answer: socket hang up. ${looked}`,
    '1 No gateway answers at URL: socket hang up',
  ])
})

test('an error of a proxy in JSON is shown, whatever members it has', async () => {
  const proxy: RequestListener = (_, response) => {
    response.writeHead(502, { 'content-type': 'application/json' })
    response.end('{"error":"bad","message":"No","hint":5,"failures":[null],"losses":[1]}')
  }
  expect(await against(proxy, ['status', 'migrate'])).toEqual(['1 bad: No', '1 bad: No'])
})
