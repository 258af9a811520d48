import { decode, positional, send, writeForm } from './php.ts'

/** The PHP client 1.x: platform and tenant_id, archives with each request. */
export class Client1 {
  /** The gateways, by turns, as a balancer has them. */
  readonly url: () => string
  readonly platform: string
  tenantId: string | null

  constructor(url: () => string, platform: string, tenantId: string | null = null) {
    this.url = url
    this.platform = platform
    this.tenantId = tenantId
  }

  /** @returns the rows */
  // biome-ignore lint/suspicious/noExplicitAny: rows of any function
  async callFunction(name: string, params: unknown[] | Record<string, unknown> = []): Promise<any> {
    const { rows } = await this.post('/call', {
      platform: this.platform,
      tenant_id: this.tenantId,
      function: name,
      params: positional(params),
    })
    if (rows === undefined) throw new Error('Invalid gateway response: missing rows field')
    return rows
  }

  async register(archive: Uint8Array) {
    return this.#upload('/register', archive)
  }

  async migrate(archive: Uint8Array) {
    return this.#upload('/migrate', archive)
  }

  async healthCheck(): Promise<boolean> {
    return (await send('GET', `${this.url()}/health`, {})).code === 200
  }

  async #upload(path: string, archive: Uint8Array) {
    const fields: Record<string, string> = { platform: this.platform }
    if (this.tenantId !== null) fields.tenant_id = this.tenantId
    const { type, body } = writeForm(fields, archive)
    return decode(await send('POST', this.url() + path, { 'Content-Type': type }, body))
  }

  protected async post(path: string, data: object, token?: string) {
    const headers = {
      'Content-Type': 'application/json',
      Accept: 'application/json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    }
    return decode(await send('POST', this.url() + path, headers, JSON.stringify(data)))
  }
}
