import { expect } from 'vitest'
import { type Answer, type Json, queryDatabase, type TestGateway, uniqueName } from './gateway.ts'
import { type Files, pack } from './platforms.ts'

/** A platform with a deployed main database. */
export interface Platform {
  name: string
  database: string
  /**
   * Deploys the files of the last successful deploy with these changes; an undefined file is left
   * out.
   */
  deploy(more: Record<string, string | undefined>, flags?: Record<string, string>): Promise<Answer>
  call(name: string, params?: unknown): Promise<Json>
  query(text: string): Promise<Json[]>
}

/** Registers a new platform with these files; its `deploy` deploys further releases. */
export async function newPlatform(gateway: TestGateway, base: Files): Promise<Platform> {
  const name = uniqueName('released')
  const database = `${name}_main`
  let files: Record<string, string | undefined> = base
  const platform: Platform = {
    name,
    database,
    deploy: async (more, flags = {}) => {
      const next = { ...files, ...more }
      const left = Object.entries(next).filter(([, text]) => text !== undefined)
      const archive = await pack(Object.fromEntries(left) as Files)
      const answer = await gateway.register(name, archive, undefined, flags)
      if (answer.status === 200 && flags.dry_run !== 'true') files = next
      return answer
    },
    call: async (fn, params = []) => (await gateway.call(name, fn, params)).body,
    query: async (text) => [...(await queryDatabase(database, text))],
  }
  const { body } = await platform.deploy({})
  expect(body).toMatchObject({ status: 'ready' })
  return platform
}
