import { once } from 'node:events'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { command, Failure, UsageError } from '../../command.ts'
import { nameOfDatabase } from '../../gateway/database.ts'
import { platformOf, readTarget } from '../../gateway/target.ts'
import { upload } from '../../gateway/transfer.ts'
import type { Io } from '../../io.ts'
import { busy } from '../../terminal/busy.ts'
import { showDone, writeText } from '../../terminal/show.ts'
import { bytesText } from '../../terminal/words.ts'
import { LABEL_ARG, namedTenant, ONE_TENANT, readNewLabels } from './change.ts'

export default command({
  args: {
    ...ONE_TENANT,
    file: {
      type: 'string',
      description: 'the dump; without it the input is read',
      valueHint: 'file',
    },
    ...LABEL_ARG,
  },
  async run(args, io) {
    const members = namedTenant(args)
    // Says what is wrong with a label before anything is sent.
    readNewLabels(args.label)
    const target = readTarget(args, io)
    const query = { platform: platformOf(target), ...members, label: args.label }
    const source = await sourceOf(args.file, io)
    const answer = await busy(
      `Importing ${nameOfDatabase(members)}`,
      args.json ? undefined : io,
      () => upload(target, '/admin/import', { query, ...source }),
    )
    if (args.json) {
      writeText(io, `${answer.text}\n`)
      return undefined
    }
    const { database, bytes } = answer.json()
    showDone(io, `${database} is imported (${bytesText(bytes)})`)
    return undefined
  },
})

async function sourceOf(
  file: string | undefined,
  io: Io,
): Promise<{ input: Readable; size?: number | undefined }> {
  if (file === undefined) {
    const input = io.bytesIn()
    if (input) return { input }
    throw new UsageError('Which dump? Give --file, or send one to the input')
  }
  const path = resolve(io.folder, file)
  const input = createReadStream(path)
  try {
    await once(input, 'open')
    const found = await stat(path)
    if (found.isDirectory()) throw new Error('it is a folder')
    // The size of a pipe is not known.
    return { input, size: found.isFile() ? found.size : undefined }
  } catch (error) {
    input.destroy()
    throw new Failure(`${file} cannot be read: ${(error as Error).message}`)
  }
}
