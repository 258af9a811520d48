import type { Answer, TestGateway } from './gateway.ts'
import { type Files, pack } from './platforms.ts'

/**
 * Sends the form of POST /platform/{platform}/schema.
 * @param file form field of the archive
 */
export async function storeSchema(
  gateway: TestGateway,
  platform: string,
  archive: Uint8Array,
  fields: Record<string, string>,
  file = 'schema',
): Promise<Answer> {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  form.set(file, new Blob([archive as Uint8Array<ArrayBuffer>]), 'postgresql.tar.gz')
  const url = `${gateway.url}/platform/${platform}/schema`
  const response = await fetch(url, { method: 'POST', body: form })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

/** Stores files as a schema of a platform. */
export async function store(
  gateway: TestGateway,
  platform: string,
  name: string,
  files: Files,
): Promise<void> {
  const fields = { schema_name: name }
  const { status, body } = await storeSchema(gateway, platform, await pack(files), fields)
  if (status !== 200) throw new Error(`The schema was not stored: ${JSON.stringify(body)}`)
}
