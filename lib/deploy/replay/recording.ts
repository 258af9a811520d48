import type { SchemaFile } from '../../archive/archive.ts'
import type { LedgerChanges } from '../ledger/writer.ts'
import type { Statement } from '../parser/statement.ts'
import type { DeployResult } from '../result.ts'
import { keepReplay } from './known-replays.ts'
import { type StateBefore, stateKey } from './state.ts'

/** Sections whose statements a replay runs; a statement of another one ends the recording. */
const RECORDED = /^(migrations|functions|views|triggers|policies)\//

/** Collects what one try of a deploy does, if all of it follows from the catalogs. */
export class Recording {
  readonly #migrations: string[] = []
  readonly #code: string[] = []
  #isSpoilt = false

  /** Called for each statement before it runs. */
  note(file: SchemaFile, statement: Statement): void {
    if (!statement.isPlain || !RECORDED.test(file.path)) this.spoil()
    else if (file.path.startsWith('migrations/')) this.#migrations.push(statement.text)
  }

  /** Called with each text that the code sections send, in order. */
  run(text: string): void {
    this.#code.push(text)
  }

  /** The deploy has done something that depends on more than the catalogs. */
  spoil(): void {
    this.#isSpoilt = true
  }

  /**
   * Remembers what the deploy did, once it is committed.
   * @param before state before the deploy
   */
  keep(scope: string, before: StateBefore, result: DeployResult, changes: LedgerChanges): void {
    const state = stateKey(before)
    const left = result.look?.state
    if (this.#isSpoilt || state === undefined || !left || !isReplayable(result)) return
    const statements = [...this.#migrations, ...this.#code]
    const { content, print } = left
    // The version in `look` is that of one database, as are the times.
    const { look: _, functions: __, steps: ___, ...others } = result
    keepReplay(scope, state, {
      statements,
      content,
      print,
      changes,
      result: structuredClone(others),
      isProven: false,
    })
  }
}

/** Returns whether the deploy created and replaced objects, and did nothing else. */
function isReplayable(result: DeployResult): boolean {
  const others = [
    result.migrationsRepaired,
    result.migrationsNotRun,
    result.typesChanged,
    result.tablesCreated,
    result.seedersApplied,
    result.functionsDropped,
    result.viewsDropped,
    result.othersDropped,
  ]
  return !result.isUnchanged && !result.isBack && others.every((list) => list.length === 0)
}
