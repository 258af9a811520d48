import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { majorOf, runTool, ToolError, type ToolTarget } from './pg-tools.ts'
import { withTemporaryFolder, writeTemporary } from './temporary-folder.ts'

/** A dump that arrives piece by piece. A piece that was asked for and not taken is the next one. */
export class Pieces {
  readonly #next: () => Promise<Buffer | undefined>
  #asked: Promise<Buffer | undefined> | undefined
  /** Bytes taken so far. */
  bytes = 0

  /** `next` reads the next piece; it returns undefined at the end of the dump. */
  constructor(next: () => Promise<Buffer | undefined>) {
    this.#next = next
  }

  ask(): Promise<Buffer | undefined> {
    if (!this.#asked) {
      this.#asked = this.#next()
      // It may fail while no program reads.
      this.#asked.catch(() => {})
    }
    return this.#asked
  }

  take({ length }: Buffer): void {
    this.#asked = undefined
    this.bytes += length
  }
}

/** The contents of a dump, and the pieces that were taken of it to know them. */
export interface ListedDump {
  /** Lines of the table of contents, as `pg_restore --list` writes them. */
  lines: string[]
  begin: Buffer[]
}

/** A table of contents is larger than MAX_CONTENTS. */
export class ContentsTooLarge extends Error {}

/** Maximum bytes of a dump that are kept until its table of contents is complete. */
const MAX_CONTENTS = 64 * 1024 * 1024

/**
 * Lists a dump in pg_dump's custom format, which begins with its table of contents. Reads as much of
 * it as that takes.
 * @param path path of pg_restore
 * @throws {ToolError} if it is not such a dump; ContentsTooLarge; the errors of `pieces`
 */
export async function listDump(
  path: string,
  pieces: Pieces,
  signal: AbortSignal,
): Promise<ListedDump> {
  const begin: Buffer[] = []
  let text = ''
  const run = { path, options: ['--list'], target: undefined, signal, keeps: 'first' as const }
  await runTool(run, async ({ stdin, stdout }, ended) => {
    stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
    })
    await feed(stdin, pieces, ended, (piece) => {
      begin.push(piece)
      if (pieces.bytes > MAX_CONTENTS) throw new ContentsTooLarge()
    })
  })
  return { lines: text.split('\n'), begin }
}

/** The first version that has the setting transaction_timeout. */
const HAS_TIMEOUT = 17

/**
 * What pg_restore of that version or later says, and no more, where it restores to an earlier server: it
 * sets transaction_timeout before everything else.
 */
const LACKS_TIMEOUT =
  /^pg_restore: error: [^\n]*\nCommand was: SET transaction_timeout = 0;\s*pg_restore: warning: errors ignored on restore: 1$/

/**
 * Restores a dump as the role of `target`, which owns everything in it then. Stops at the first
 * error. Tablespaces and what `lines` do not have are left out, and privileges without `hasPrivileges`.
 * @param lines entries of the table of contents to restore
 * @param major major version of the server
 * @throws {ToolError} with the standard error of pg_restore; TemporaryFolderError; the errors of
 *   `pieces`
 */
export async function restore(
  path: string,
  target: ToolTarget,
  { lines, begin }: ListedDump,
  pieces: Pieces,
  signal: AbortSignal,
  { hasPrivileges = false, major = HAS_TIMEOUT } = {},
): Promise<void> {
  const lacksTimeout = major < HAS_TIMEOUT && (await majorOf(path)) >= HAS_TIMEOUT
  await withTemporaryFolder(async (folder) => {
    const list = join(folder, 'list')
    await writeTemporary(list, lines.join('\n'))
    const options = [
      '--format=custom',
      '--no-password',
      '--no-owner',
      ...(hasPrivileges ? [] : ['--no-privileges']),
      '--no-tablespaces',
      ...(lacksTimeout ? [] : ['--exit-on-error']),
      `--use-list=${list}`,
      `--dbname=${target.database}`,
    ]
    const run = { path, options, target, signal, keeps: 'first' as const }
    await runTool(run, ({ stdin }, ended) => {
      for (const piece of begin) stdin.write(piece)
      begin.length = 0
      return feed(stdin, pieces, ended)
    }).catch((error) => {
      const isRestored = lacksTimeout && error instanceof ToolError
      if (!isRestored || !LACKS_TIMEOUT.test(error.message)) throw error
    })
  })
}

/** Writes a dump to a program until the dump or the program ends. */
async function feed(
  stdin: Writable,
  pieces: Pieces,
  ended: Promise<void>,
  onPiece: (piece: Buffer) => void = () => {},
): Promise<void> {
  let isOver = false
  // Promise.race with `ended` would keep each piece in memory until the program ends.
  let wake = () => {}
  const stop = () => {
    isOver = true
    wake()
  }
  ended.then(stop)
  // A program that has read enough closes its input before it ends.
  stdin.once('close', stop)
  while (!isOver) {
    const piece = await new Promise<Buffer | undefined>((resolve, reject) => {
      wake = () => resolve(undefined)
      pieces.ask().then(resolve, reject)
    })
    if (isOver) return
    if (!piece) break
    pieces.take(piece)
    onPiece(piece)
    if (stdin.write(piece)) continue
    await new Promise<void>((resolve) => {
      wake = resolve
      stdin.once('drain', resolve)
    })
  }
  stdin.end()
}
