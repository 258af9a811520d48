import { resolve } from 'node:path'
import { command, Failure, UsageError } from '../../command.ts'
import { nameOfDatabase } from '../../gateway/database.ts'
import { platformOf, readTarget } from '../../gateway/target.ts'
import { beginDownload } from '../../gateway/transfer.ts'
import { busy } from '../../terminal/busy.ts'
import { showDone, writeJson } from '../../terminal/show.ts'
import { printable } from '../../terminal/style.ts'
import { bytesText } from '../../terminal/words.ts'
import { writeWholeFile } from '../../whole-file.ts'
import { namedTenant, ONE_TENANT } from './change.ts'

export default command({
  args: {
    ...ONE_TENANT,
    file: {
      type: 'string',
      description: 'the file to write; without it the dump goes to the output',
      valueHint: 'file',
    },
  },
  async run(args, io) {
    const members = namedTenant(args)
    const { file } = args
    if (file === undefined && args.json) throw new UsageError('--json needs --file')
    const output = file === undefined ? io.bytesOut() : undefined
    if (file === undefined && !output) {
      throw new UsageError('A dump is nothing for a terminal: give --file, or send it on')
    }
    const target = readTarget(args, io)
    const query = { platform: platformOf(target), ...members }
    const leaving = new AbortController()
    const release = io.onInterrupt(() => leaving.abort())
    const { signal } = leaving
    // An export that is refused writes no file.
    const begin = () => beginDownload(target, '/admin/export', { query, signal })
    try {
      const name = nameOfDatabase(members)
      if (file === undefined) {
        const bytes = await (await begin())(output!)
        io.err(`${printable(name)} is exported (${bytesText(bytes)})\n`)
        return undefined
      }
      const bytes = await busy(`Exporting ${name}`, args.json ? undefined : io, async () =>
        writeWholeFile(resolve(io.folder, file), await begin()),
      )
      if (args.json) writeJson(io, { status: 'exported', ...query, file, bytes })
      else showDone(io, `${name} is exported to ${file} (${bytesText(bytes)})`)
      return undefined
    } catch (error) {
      if (!signal.aborted) throw error
      throw new Failure(
        `Cancelled${file === undefined ? ': the dump is cut' : '; no file is left'}`,
      )
    } finally {
      release()
      // What is not read any more is not sent.
      leaving.abort()
    }
  },
})
