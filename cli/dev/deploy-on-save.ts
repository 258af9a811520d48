import { setTimeout as sleep } from 'node:timers/promises'
import { deployForm } from '../deploy-form.ts'
import { changesOf } from '../deploy-result.ts'
import { send } from '../gateway/client.ts'
import { failureBody } from '../gateway/request-failed.ts'
import { type Target, tenantOf } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import { type Packed, packFolder } from '../schema/pack.ts'
import { describeFailure } from '../terminal/failure.ts'
import { showWarnings } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'
import { duration, listed } from '../terminal/words.ts'

/** What is deployed, and to whom. */
export interface Deployment {
  target: Target
  platform: string
  /** Folder of the command. */
  folder: string
  /** Flags of `register`. */
  args: Record<string, unknown>
  /** Called after a deploy that has changed something. */
  onDeployed(): Promise<void>
}

/** Deploys a folder whenever it is told to, one deploy after the other. */
export class DeployOnSave {
  readonly #deployment: Deployment
  readonly #io: Io
  #packed: Packed | undefined
  #running: Promise<void> | undefined
  #isAskedAgain = false

  constructor(deployment: Deployment, io: Io) {
    this.#deployment = deployment
    this.#io = io
  }

  /** Deploys the folder as it is now; resolves once nothing is left to deploy. */
  deploy(): Promise<void> {
    this.#isAskedAgain = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    while (this.#isAskedAgain) {
      this.#isAskedAgain = false
      try {
        await this.#deployOnce()
      } catch (error) {
        this.#io.err(`${describe(error, this.#io)}\n`)
      }
    }
  }

  /** Packs the folder, once more if a file has just become empty. */
  async #pack(folder: string): Promise<Packed> {
    const packed = await packFolder(folder)
    if (!hasEmptied(this.#packed, packed)) return packed
    await sleep(EMPTY_MS)
    return packFolder(folder)
  }

  async #deployOnce(): Promise<void> {
    const started = performance.now()
    const { target, platform, folder, args, onDeployed } = this.#deployment
    const packed = await this.#pack(folder)
    if (packed.archive.checksum === this.#packed?.archive.checksum) return
    const changed = changedPaths(this.#packed, packed)
    // One that is refused is not sent again until a file changes.
    this.#packed = packed
    const body = deployForm(platform, packed, args, { tenant_id: tenantOf(target) })
    const result = (await send(target, '/register', { body })).json()
    const { bold, dim, green } = styles(this.#io.hasColor)
    const what = listed(
      [result.superseded && 'a newer archive is in place, which stays', ...changesOf(result)],
      'nothing to do',
    )
    const took = dim(`(${duration(performance.now() - started)})`)
    const files = changed === undefined ? '' : `${printable(changed)}: `
    this.#io.out(`${green('✓')} ${bold(result.database)}  ${files}${what} ${took}\n`)
    showWarnings(this.#io, result.warnings)
    await onDeployed()
  }
}

/** An editor that empties a file before it writes it has written it by then, in milliseconds. */
const EMPTY_MS = 100

/** Returns whether a file that had a text has none. */
function hasEmptied(before: Packed | undefined, after: Packed): boolean {
  const texts = ({ archive }: Packed) =>
    Object.values(archive.files).flatMap((files) => files.map(({ path, text }) => ({ path, text })))
  const had = new Set(
    before ? texts(before).flatMap(({ path, text }) => (text.trim() ? [path] : [])) : [],
  )
  return texts(after).some(({ path, text }) => text.trim() === '' && had.has(path))
}

const SHOWN = 3

/** Returns the files that differ from the archive before; undefined for the first one. */
function changedPaths(before: Packed | undefined, { archive }: Packed): string | undefined {
  if (!before) return undefined
  const checksums = ({ files }: Packed['archive']) =>
    new Map(
      Object.values(files).flatMap((list) => list.map((one) => [one.path, one.checksum] as const)),
    )
  const [was, is] = [checksums(before.archive), checksums(archive)]
  const paths = [...new Set([...was.keys(), ...is.keys()])].filter(
    (path) => was.get(path) !== is.get(path),
  )
  const rest = paths.length - SHOWN
  return [...paths.slice(0, SHOWN), ...(rest > 0 ? [`${rest} more`] : [])].join(', ')
}

function describe(error: unknown, { hasColor }: Io): string {
  const style = styles(hasColor)
  const body = failureBody(error)
  if (body) return describeFailure(body, style)
  return error instanceof Error ? style.red(printable(error.message)) : String(error)
}
