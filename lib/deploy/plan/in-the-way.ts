import type { SchemaFile } from '../../archive/archive.ts'
import { type ErrorDetails, GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { KnownObject } from '../objects/object.ts'
import { dropAll, findInTheWay, readSetBefore, type SetBefore } from '../objects/set-before.ts'
import { readDirectives } from './directives.ts'

/** As in `rule _RETURN on view sizes depends on column "size"`. */
const DEPENDS =
  /\b((?:materialized )?view) ((?:[^\s".]+|"(?:[^"]|"")*")(?:\.(?:[^\s".]+|"(?:[^"]|"")*"))?) depends on /

/** The first view that PostgreSQL names as what depends on something. */
function viewIn(words: string): { kind: string; name: string } | undefined {
  const [, kind, name] = DEPENDS.exec(words) ?? []
  return kind && name ? { kind, name } : undefined
}

/** A column is retyped or dropped, or a constraint, and a view needs it. */
const IN_THE_WAY = new Set(['0A000', '2BP01'])

/**
 * What migrations find in their way. In a new database they run before functions, views, triggers
 * and policies are made. In one that has them, those that a migration fails at are dropped before
 * it and made again by their files, with what people have put on them.
 */
export class MigrationObstacles {
  #before: SetBefore | undefined
  readonly #dropped = new Set<string>()
  #pending: SchemaFile[] = []
  #known: KnownObject[] = []

  /** Takes off what was in the way at the try before; reads what pending migrations may drop. */
  async prepare(sql: Sql, pending: SchemaFile[], known: KnownObject[]): Promise<void> {
    this.#pending = pending
    this.#known = known
    const isDue = pending.some(({ text }) => /\bdrop\b/i.test(text))
    if (isDue && !this.#before) this.#before = await readSetBefore(sql, known)
    const all = [...(this.#before?.values() ?? [])].map(({ object }) => object)
    await dropAll(
      sql,
      all.filter(({ identity }) => this.#dropped.has(identity)),
    )
  }

  /**
   * Waits for the migrations. Where one has failed at something that can go, all is rolled back.
   * @returns whether they ran; if not, another try takes it off before
   * @throws {GatewayError} the failure; with what to do, where a person has to do it
   */
  async lets(sql: Sql, run: Promise<void>): Promise<boolean> {
    try {
      await run
      return true
    } catch (error) {
      if (await this.#clear(sql, error)) return false
      throw error
    }
  }

  async #clear(sql: Sql, failure: unknown): Promise<boolean> {
    if (!(failure instanceof GatewayError) || failure.code !== 'migration_failed') return false
    const { sqlstate, cause, file: path } = failure.details as ErrorDetails & { file?: string }
    const file = this.#pending.find((one) => one.path === path)
    if (!IN_THE_WAY.has(String(sqlstate)) || !file || readDirectives(file).noTransaction) {
      return false
    }
    await sql.unsafe('rollback')
    this.#before ??= await readSetBefore(sql, this.#known)
    const { objects, blocked } = await findInTheWay(sql, this.#before, String(cause))
    if (blocked) {
      const { kind, identity } = blocked.object
      const hint = `Write "drop ${kind} if exists ${identity} cascade;" before it: the files of the archive make again what they have made. No file makes ${blocked.by}, which goes too: make it again behind it, or move it into a file before`
      throw new GatewayError(failure.code, failure.message, { ...failure.details, hint })
    }
    const view = objects.length === 0 ? viewIn(String(cause)) : undefined
    if (view) {
      const hint = `No file of the archive makes ${view.kind} ${view.name}: write "drop ${view.kind} if exists ${view.name} cascade;" before it, and make it again behind it where it is still needed, with all that depends on it`
      throw new GatewayError(failure.code, failure.message, { ...failure.details, hint })
    }
    const added = objects.filter(({ identity }) => !this.#dropped.has(identity))
    for (const { identity } of added) this.#dropped.add(identity)
    return added.length > 0
  }

  /** What people had put on what the files made; undefined where nothing may be lost. */
  get setBefore(): SetBefore | undefined {
    return this.#before
  }
}
