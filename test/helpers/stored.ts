import type { Answer, TestGateway } from './gateway.ts'

/** Sends the form of POST /platform/{platform}/schema; `file` is the field that has the archive. */
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
