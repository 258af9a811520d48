import { expect } from 'vitest'
import { type Answer, type Json, type TestGateway, uniqueName } from './gateway.ts'
import { type Files, pack } from './platforms.ts'

/** A platform with a deployed main database. */
export interface Platform {
  name: string
  database: string
  /** Deploys the base files with these changes; an undefined file is left out. */
  deploy(more: Record<string, string | undefined>, flags?: Record<string, string>): Promise<Answer>
}

export async function newPlatform(gateway: TestGateway, base: Files): Promise<Platform> {
  const name = uniqueName('loss')
  const { body } = await gateway.register(name, await pack(base))
  expect(body).toMatchObject({ status: 'ready' })
  return {
    name,
    database: `${name}_main`,
    deploy: async (more, flags = {}) => {
      const files = Object.entries({ ...base, ...more }).filter(([, text]) => text !== undefined)
      const archive = await pack(Object.fromEntries(files) as Files)
      return gateway.register(name, archive, undefined, flags)
    },
  }
}

/** Returns the file of the next migration. */
export const next = (text: string): Files => ({ 'migrations/002_next.pssql': text })

/** Returns the data losses that a response of status 409 lists. */
export function lossesOf({ status, body }: Answer): Json[] {
  expect([status, body.error], JSON.stringify(body)).toEqual([409, 'data_loss'])
  return body.losses.map(({ change, table, column, rows }: Json) => [change, table, column, rows])
}
