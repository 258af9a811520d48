import { Client2 } from './client-2.ts'
import { positional } from './php.ts'

/** The PHP client 3.x: schema_name and uuid; a tenant's schema is `tenant`. */
export class Client3 extends Client2 {
  schemaName = 'main'
  uuid: string | null = null

  setTenantId(uuid: string | null): this {
    this.schemaName = uuid === null ? 'main' : 'tenant'
    this.uuid = uuid
    return this
  }

  override async callFunction(
    name: string,
    params: unknown[] | Record<string, unknown> = [],
    // biome-ignore lint/suspicious/noExplicitAny: rows of any function
  ): Promise<any> {
    const { rows } = await this.post('/call', {
      platform: this.platform,
      schema_name: this.schemaName,
      uuid: this.uuid,
      function: name,
      params: positional(params),
    })
    if (rows === undefined) throw new Error('Invalid gateway response: missing rows field')
    return rows
  }

  override async createDatabase(schema_name: string, uuid: string | null) {
    const body = { platform: this.platform, schema_name, uuid }
    return this.post('/admin/database/create', body, this.adminToken)
  }

  /** Without a token, which 3.1.1 does not send here. */
  override async migrate2(schema_name: string, uuid: string | null, force = false) {
    return this.post('/v2/migrate', { platform: this.platform, schema_name, uuid, force })
  }
}
