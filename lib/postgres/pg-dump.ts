import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { PassThrough, pipeline as pipeThrough, type Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { runTool, ToolError, type ToolTarget } from './pg-tools.ts'

/** Source of a dump. */
export interface DumpSource extends ToolTarget {
  /** Pattern of `--exclude-schema`. */
  withoutSchema: string
  /** Pattern of `--exclude-table-data`: tables and sequences that are dumped without contents. */
  withoutData: string
}

/** Options for parts of a database. */
const ONLY = {
  schema: ['--schema-only', '--no-publications', '--no-subscriptions'],
  ledger: ['--data-only', '--table=public._db_gateway_*'],
}

/** Limits of a dump. */
export interface DumpLimits {
  /** Time to wait for the lock of each table, in milliseconds. */
  lockTimeoutMs: number
  /** False for a dump that is read at once and not kept, which is quicker. Default: true. */
  isCompressed?: boolean
  /** Dumps definitions alone, or the rows of the gateway's ledger alone. */
  only?: keyof typeof ONLY | undefined
  /** Ends pg_dump when it is aborted. */
  signal?: AbortSignal
}

/**
 * Dumps a database in pg_dump's custom format, of one snapshot.
 * @param path path of pg_dump
 * @param use reads the dump; called when pg_dump has written the first bytes. pg_dump has succeeded
 *   only when `dump` resolves.
 * @throws {ToolError} with the standard error of pg_dump; the errors of `use`; the signal's reason
 */
export async function dump(
  path: string,
  source: DumpSource,
  { lockTimeoutMs, isCompressed = true, only, signal }: DumpLimits,
  use: (dump: Readable) => Promise<void>,
): Promise<void> {
  const options = [
    '--format=custom',
    '--no-password',
    `--exclude-schema=${source.withoutSchema}`,
    `--exclude-table-data=${source.withoutData}`,
    `--lock-wait-timeout=${lockTimeoutMs}`,
    ...(isCompressed ? [] : ['--compress=0']),
    ...(only ? ONLY[only] : []),
  ]
  const run = { path, options, target: source, signal, keeps: 'last' as const }
  let isEmpty = false
  await runTool(run, async ({ stdout }, ended) => {
    // Node.js throws away what nobody reads yet when the program ends.
    const out = new PassThrough()
    pipeThrough(stdout, out, () => {})
    await Promise.race([once(out, 'readable'), ended])
    isEmpty = out.readableLength === 0
    if (isEmpty) out.resume()
    else await use(out)
  })
  if (isEmpty) throw new ToolError('it has written nothing')
}

/**
 * Dumps a database into a new file with mode 0600, and syncs it.
 * @throws {Error} as `dump`; the incomplete file is not removed
 */
export async function dumpTo(
  path: string,
  source: DumpSource,
  limits: DumpLimits,
  file: string,
): Promise<void> {
  const out = await open(file, 'wx', 0o600)
  try {
    await dump(path, source, limits, (bytes) =>
      // A file stream would close the file when a write fails, and hide why.
      pipeline(bytes, async (pieces: AsyncIterable<Buffer>) => {
        for await (const piece of pieces) await out.appendFile(piece)
      }),
    )
    await out.sync()
  } finally {
    await out.close()
  }
}
