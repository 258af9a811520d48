import type { SchemaFile } from '../../archive/archive.ts'
import { type ErrorDetails, GatewayError } from '../../errors.ts'
import type { Sql } from '../../postgres/pools/connection.ts'
import type { KnownObject } from '../objects/object.ts'
import { dropAll, findInTheWay, readSetBefore, type SetBefore } from '../objects/set-before.ts'
import { readDirectives } from './directives.ts'

/** Matches PostgreSQL's DETAIL, such as `rule _RETURN on view sizes depends on column "size"`. */
const DEPENDS =
  /\b((?:materialized )?view) ((?:[^\s".]+|"(?:[^"]|"")*")(?:\.(?:[^\s".]+|"(?:[^"]|"")*"))?) depends on /

/** Returns the first view that PostgreSQL's message names as a dependent object. */
function viewIn(words: string): { kind: string; name: string } | undefined {
  const [, kind, name] = DEPENDS.exec(words) ?? []
  return kind && name ? { kind, name } : undefined
}

/**
 * SQLSTATEs of a column or constraint that cannot be changed or dropped because of a dependent
 * object.
 */
const IN_THE_WAY = new Set(['0A000', '2BP01'])

/**
 * Objects of the code sections that keep a migration from running, such as a view on a column that
 * is dropped. In a new database migrations run before functions, views, triggers and policies
 * exist. In an existing database such objects are dropped before the migration and created again by
 * their files, with the grants, comments and settings that people added.
 */
export class MigrationObstacles {
  #before: SetBefore | undefined
  readonly #dropped = new Set<string>()
  #pending: SchemaFile[] = []
  #known: KnownObject[] = []

  /**
   * Drops the objects that were in the way in earlier tries. Reads what people added to the known
   * objects if a pending migration contains DROP.
   */
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
   * Waits for the migrations. If one failed because of an object that a file can create again,
   * rolls back and has the next try drop the object first.
   * @returns whether the migrations ran; false asks for another try
   * @throws {GatewayError} the failure of the migration, with a hint if the object has to be
   *   dropped by hand
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
      const hint = `Write "drop ${kind} if exists ${identity} cascade;" before the statement: the files of the archive create their objects again. The drop also removes ${blocked.by}, which no file creates: create it again after the statement, or move it into a file of the archive first`
      throw new GatewayError(failure.code, failure.message, { ...failure.details, hint })
    }
    const view = objects.length === 0 ? viewIn(String(cause)) : undefined
    if (view) {
      const hint = `No file of the archive creates ${view.kind} ${view.name}: write "drop ${view.kind} if exists ${view.name} cascade;" before the statement and, if the view is still needed, create it and its dependent objects again after the statement`
      throw new GatewayError(failure.code, failure.message, { ...failure.details, hint })
    }
    const added = objects.filter(({ identity }) => !this.#dropped.has(identity))
    for (const { identity } of added) this.#dropped.add(identity)
    return added.length > 0
  }

  /**
   * Grants, comments and settings that people added to the objects of files; undefined if they were
   * not read, because no object may be dropped.
   */
  get setBefore(): SetBefore | undefined {
    return this.#before
  }
}
