import { deployForm } from '../deploy-form.ts'
import { changesOf } from '../deploy-result.ts'
import type { Line } from '../fleet/state.ts'
import { send } from '../gateway/client.ts'
import { failureBody, RequestFailed } from '../gateway/request-failed.ts'
import { type Target, tenantOf } from '../gateway/target.ts'
import type { Io } from '../io.ts'
import type { Packed } from '../schema/pack.ts'
import { describeFailure } from '../terminal/failure.ts'
import { showWarnings } from '../terminal/show.ts'
import { printable, styles } from '../terminal/style.ts'
import { duration, listed } from '../terminal/words.ts'
import { packWritten, unwrittenMigrations } from './unwritten.ts'

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

/** Statuses of what an archive is refused with. */
const REFUSALS = [400, 422]

/** Deploys a folder whenever it is told to, one deploy after the other. */
export class DeployOnSave {
  readonly #deployment: Deployment
  readonly #io: Io
  /** What was sent last. */
  #packed: Packed | undefined
  /** Checksum of what was looked at last. */
  #seen: string | undefined
  /** Migrations without a statement that have run. */
  readonly #blank = new Set<string>()
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
        // One that is refused is not sent again until a file changes; a gateway that was away or busy may take it.
        const isRefused = error instanceof RequestFailed && REFUSALS.includes(error.status)
        if (!isRefused) this.#seen = undefined
        this.#io.err(`${describe(error, this.#io)}\n`)
      }
    }
  }

  /** Returns the migrations without a statement that a deploy would record as having run. */
  async #unwritten(packed: Packed): Promise<string[]> {
    const blank = unwrittenMigrations(packed)
    if (blank.every((name) => this.#blank.has(name))) return []
    const { target, platform, args } = this.#deployment
    const fields = { tenant_id: tenantOf(target), dry_run: 'true' }
    const body = deployForm(platform, packed, args, fields)
    const { plan } = (await send(target, '/register', { body })).json()
    const pending = new Set(plan.flatMap((one: Line) => one.pending_migrations))
    for (const name of blank) if (!pending.has(name)) this.#blank.add(name)
    return blank.filter((name) => pending.has(name))
  }

  async #deployOnce(): Promise<void> {
    const started = performance.now()
    const { target, platform, folder, args, onDeployed } = this.#deployment
    const packed = await packWritten(folder, this.#packed)
    if (packed.archive.checksum === this.#seen) return
    this.#seen = packed.archive.checksum
    const { bold, dim, green, yellow } = styles(this.#io.hasColor)
    const unwritten = await this.#unwritten(packed)
    if (unwritten.length > 0) {
      const names = printable(unwritten.join(', '))
      this.#io.out(`${yellow('·')} Waiting until ${names} has a statement: a migration runs once\n`)
      return
    }
    const changed = changedPaths(this.#packed, packed)
    this.#packed = packed
    const body = deployForm(platform, packed, args, { tenant_id: tenantOf(target) })
    const result = (await send(target, '/register', { body })).json()
    const what = listed(
      [result.superseded && 'a newer archive is in place, which stays', ...changesOf(result)],
      'nothing to do',
    )
    const took = dim(`(${duration(performance.now() - started)})`)
    const files = changed === undefined ? '' : `${printable(changed)}: `
    this.#io.out(`${green('✓')} ${bold(printable(result.database))}  ${files}${what} ${took}\n`)
    showWarnings(this.#io, result.warnings)
    await onDeployed()
  }
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
