import { setTimeout as sleep } from 'node:timers/promises'
import { decode, type PhpResponse, send, writeForm } from './php.ts'

/** The environment of the commands of StoneScriptPHP. */
export interface Environment {
  /** The gateways, by turns, as a balancer has them. */
  url: () => string
  platform: string
  adminToken?: string | undefined
}

/** The exit code is not 0. */
export class CommandFailed extends Error {}

/** gateway:register-…, -migrate-…, -list-…, and provision-token, by what they send and read. */
export class Commands {
  readonly #env: Environment
  #token: string | undefined

  constructor(env: Environment) {
    this.#env = env
  }

  /** An existing platform is as good. */
  async registerPlatform(): Promise<void> {
    const { platform } = this.#env
    expectCode(await this.#post('/platform/register', { platform }), [200, 201, 409])
  }

  async uploadSchema(name: string, archive: Uint8Array) {
    const { platform } = this.#env
    const { type, body } = writeForm({ schema_name: name }, archive)
    const url = `${this.#env.url()}/platform/${platform}/schema`
    const answer = await send('POST', url, { 'Content-Type': type }, body)
    expectCode(answer, [200, 201])
    return JSON.parse(answer.body)
  }

  /** The token that was provisioned once; the admin token asks for it. */
  async provisionToken(): Promise<string> {
    const { platform, adminToken } = this.#env
    const answer = await this.#post('/admin/platform-token', { platform }, adminToken)
    expectCode(answer, [200, 201])
    this.#token = JSON.parse(answer.body).token as string
    return this.#token
  }

  /** An existing database is as good. @returns how often it was tried */
  async createDatabase(schema_name: string, id: { uuid?: string } | { database_id: string }) {
    const body = { platform: this.#env.platform, schema_name, ...id }
    return this.#retry('/admin/database/create', body, [200, 201, 202, 409])
  }

  async migrateDatabase(schema_name: string, id: { uuid?: string } | { database_id: string }) {
    const body = { ...this.#migration(schema_name), ...id }
    return this.#retry('/v2/migrate', body, [200, 201])
  }

  /** Asks for the job every second where the answer is 202. @returns the last object */
  async migrateAll(schema_name: string) {
    const { answer } = await this.#retry(
      '/v2/migrate-all',
      this.#migration(schema_name),
      [200, 201, 202],
    )
    let job = JSON.parse(answer.body)
    while (job.status === 'queued' || job.status === 'running') {
      await sleep(1000)
      const headers = this.#headers(this.#token)
      job = decode(await send('GET', `${this.#env.url()}/v2/migrate-all/${job.job_id}`, headers))
    }
    return job
  }

  async list(what: 'schemas' | 'databases', schema?: string) {
    const query = schema === undefined ? '' : `?schema=${encodeURIComponent(schema)}`
    const url = `${this.#env.url()}/platform/${this.#env.platform}/${what}${query}`
    const answer = await send('GET', url, {})
    expectCode(answer, [200])
    return JSON.parse(answer.body)[what]
  }

  #migration(schema_name: string) {
    const { platform } = this.#env
    return { platform, schema_name, force: false, allow: [], skip_verification: false }
  }

  async #retry(path: string, body: object, good: number[]) {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#post(path, body, this.#token)
      if (good.includes(answer.code)) return { attempt, answer }
      if (attempt === 3) throw new CommandFailed(`HTTP ${answer.code}: ${answer.body}`)
    }
  }

  #post(path: string, body: object, token?: string): Promise<PhpResponse> {
    const headers = { 'Content-Type': 'application/json', ...this.#headers(token) }
    return send('POST', this.#env.url() + path, headers, JSON.stringify(body))
  }

  #headers(token: string | undefined): Record<string, string> {
    return token === undefined ? {} : { Authorization: `Bearer ${token}` }
  }
}

function expectCode({ code, body }: PhpResponse, good: number[]): void {
  if (!good.includes(code)) throw new CommandFailed(`HTTP ${code}: ${body}`)
}
