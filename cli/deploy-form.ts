import { resolve } from 'node:path'
import type { ArgsDef } from 'citty'
import type { Io } from './io.ts'
import { shownPath } from './schema/folder.ts'
import { describePacked, type Packed, packFolder, pathsOf } from './schema/pack.ts'
import { showWarnings } from './terminal/show.ts'
import { printable, styles } from './terminal/style.ts'
import { short } from './terminal/words.ts'

/** The arguments of a command that deploys a folder. */
export const DEPLOY_ARGS = {
  folder: {
    type: 'positional',
    required: false,
    description: 'the schema: the folder with postgresql/ in it, or that folder; . by default',
  },
  allow: {
    type: 'string',
    description: 'data_loss, functions_missing or older, or several with commas',
    valueHint: 'what',
  },
  repair: { type: 'boolean', description: 'record edited migrations as applied' },
  retry: { type: 'boolean', description: 'run an unfinished no-transaction migration again' },
  strict: { type: 'boolean', description: 'prove first that a new tenant can be made' },
  files: { type: 'boolean', description: 'name the files that are sent' },
} as const satisfies ArgsDef

/** Packs the folder of a command, and says what is in it. */
export async function packArgument(args: Record<string, unknown>, io: Io): Promise<Packed> {
  const folder = typeof args.folder === 'string' ? args.folder : '.'
  const packed = await packFolder(resolve(io.folder, folder))
  if (args.json) return packed
  const { bold, dim } = styles(io.hasColor)
  const where = shownPath(packed.root, io.folder)
  const sum = dim(`(${short(packed.archive.checksum)})`)
  io.out(`${bold(printable(where))}  ${describePacked(packed)} ${sum}\n`)
  if (args.files) for (const path of pathsOf(packed)) io.out(`  ${printable(path)}\n`)
  showWarnings(io, packed.warnings)
  return packed
}

/** Returns the form of /register and /migrate. */
export function deployForm(
  platform: string,
  { bytes }: Packed,
  args: Record<string, unknown>,
  fields: Record<string, string | undefined>,
): FormData {
  const form = new FormData()
  form.set('platform', platform)
  for (const name of ['repair', 'retry', 'strict']) if (args[name]) form.set(name, 'true')
  if (typeof args.allow === 'string') form.set('allow', args.allow)
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) form.set(name, value)
  }
  form.set('schema', new Blob([bytes as Uint8Array<ArrayBuffer>]), 'postgresql.tar.gz')
  return form
}
