import type { Rig } from '../rig.ts'

/** What a deploy of one database has to come to; anything else stops the benchmark. */
export interface Expected {
  migrations: number
  functions: number
}

interface Answer {
  migrations_applied: number
  functions_changed: number
  results: { migrations_applied: number; functions_changed: number }[]
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
  check(await post(rig, '/register', { platform, tenant_id: tenant }, archive), expected)
}

/** Brings all databases of the platform to the archive. */
export async function migrate(
  rig: Rig,
  platform: string,
  databases: number,
  archive: Uint8Array,
  expected: Expected,
): Promise<void> {
  const { results } = await post(rig, '/migrate', { platform }, archive)
  if (results.length !== databases) throw new Error(`/migrate did ${results.length} databases`)
  for (const result of results) check(result, expected)
}

function check(result: Omit<Answer, 'results'>, { migrations, functions }: Expected): void {
  if (result.migrations_applied === migrations && result.functions_changed === functions) return
  throw new Error(`The deploy is not the one that is to be measured: ${JSON.stringify(result)}`)
}

async function post(
  { gatewayUrl, signal }: Rig,
  path: string,
  fields: Record<string, string>,
  archive: Uint8Array,
): Promise<Answer> {
  const response = await fetch(gatewayUrl + path, {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body: encodeForm(fields, archive),
    signal,
  })
  const text = await response.text()
  if (response.ok) return JSON.parse(text) as Answer
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
