import { Client1 } from './client-1.ts'
import { decode, send, writeForm } from './php.ts'

/** The PHP client 2.x: calls as 1.x; stored schemas, databases by database_id. */
export class Client2 extends Client1 {
  adminToken: string | undefined

  async registerPlatform() {
    return this.post('/platform/register', { platform: this.platform })
  }

  async uploadSchema(archive: Uint8Array, name: string) {
    const { type, body } = writeForm({ schema_name: name }, archive)
    const url = `${this.url()}/platform/${encodeURIComponent(this.platform)}/schema`
    return decode(await send('POST', url, { 'Content-Type': type }, body))
  }

  async createDatabase(schema_name: string, database_id: string) {
    const body = { platform: this.platform, schema_name, database_id }
    return this.post('/admin/database/create', body, this.adminToken)
  }

  async migrate2(schema_name: string, database_id: string, force = false) {
    return this.post('/v2/migrate', { platform: this.platform, schema_name, database_id, force })
  }

  async migrateAll2(schema_name: string, force = false) {
    return this.post('/v2/migrate-all', { platform: this.platform, schema_name, force })
  }
}
