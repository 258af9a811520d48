import type { Rig } from '../rig.ts'

/** What a deploy of one database has to come to; anything else stops the benchmark. */
export interface Expected {
  migrations: number
  functions: number
}

/** What the gateway says of the deploy of one database. */
export interface Deployed {
  migrations_applied: number
  functions_changed: number
}

const BOUNDARY = 'db-gateway-bench-boundary'

/** Registers one tenant, as its container does. */
export async function register(
  rig: Rig,
  platform: string,
  tenant: string,
  archive: Uint8Array,
  expected: Expected,
): Promise<void> {
  const fields = { platform, tenant_id: tenant }
  checkDeploy(await postForm<Deployed>(rig, '/register', fields, archive), expected)
}

/** Brings all databases of the platform to the archive. */
export async function migrate(
  rig: Rig,
  platform: string,
  databases: number,
  archive: Uint8Array,
  expected: Expected,
): Promise<void> {
  const { results } = await postForm<{ results: Deployed[] }>(
    rig,
    '/migrate',
    { platform },
    archive,
  )
  if (results.length !== databases) throw new Error(`/migrate did ${results.length} databases`)
  for (const result of results) checkDeploy(result, expected)
}

/** @throws {Error} where a deploy has come to something else */
export function checkDeploy(result: Deployed, { migrations, functions }: Expected): void {
  if (result.migrations_applied === migrations && result.functions_changed === functions) return
  throw new Error(`The deploy is not the one that is to be measured: ${JSON.stringify(result)}`)
}

/**
 * Sends a body of JSON and returns the answer.
 * @throws {Error} where that is an error
 */
export function postJson<T>(rig: Rig, path: string, body: object): Promise<T> {
  return post(rig, path, 'application/json', JSON.stringify(body))
}

function postForm<T>(
  rig: Rig,
  path: string,
  fields: Record<string, string>,
  archive: Uint8Array,
): Promise<T> {
  const type = `multipart/form-data; boundary=${BOUNDARY}`
  return post(rig, path, type, encodeForm(fields, archive))
}

async function post<T>(
  { gatewayUrl, signal }: Rig,
  path: string,
  type: string,
  body: string | Buffer,
): Promise<T> {
  const headers = { 'content-type': type }
  const response = await fetch(gatewayUrl + path, { method: 'POST', headers, body, signal })
  const text = await response.text()
  if (response.ok) return JSON.parse(text) as T
  throw new Error(`${path} answered ${response.status}: ${text}`)
}

/** By hand: encoding FormData takes the CPU of which the gateway is to have most. */
function encodeForm(fields: Record<string, string>, archive: Uint8Array): Buffer {
  const start = (disposition: string) =>
    `--${BOUNDARY}\r\ncontent-disposition: form-data; ${disposition}\r\n\r\n`
  const texts = Object.entries(fields).map(
    ([name, value]) => `${start(`name="${name}"`)}${value}\r\n`,
  )
  return Buffer.concat([
    Buffer.from(texts.join('') + start('name="schema"; filename="postgresql.tar.gz"')),
    archive,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ])
}
