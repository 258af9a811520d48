import { basename, resolve } from 'node:path'
import { sanitize } from '../../lib/tenancy/names.ts'
import { command, JSON_ARG, PROGRAM, UsageError } from '../command.ts'
import { shownPath, writeNew } from '../schema/folder.ts'
import { firstFiles } from '../schema/new-files.ts'
import { askText } from '../terminal/ask.ts'
import { shellPath } from '../terminal/shell.ts'
import { writeJson } from '../terminal/show.ts'
import { styles } from '../terminal/style.ts'

const PLATFORM = /^[A-Za-z0-9_-]{1,58}$/

export default command({
  args: {
    folder: { type: 'positional', required: false, description: 'where to write it; . by default' },
    platform: { type: 'string', description: 'name of the platform', valueHint: 'name' },
    ...JSON_ARG,
  },
  async run(args, io) {
    const folder = resolve(io.folder, args.folder ?? '.')
    const guess =
      sanitize(basename(folder))
        .replace(/[^a-z0-9_]/g, '')
        .slice(0, 58) || 'app'
    const platform =
      args.platform ?? (io.mayAsk ? await askText('Name of the platform', guess, problemOf) : guess)
    const problem = problemOf(platform)
    if (problem) throw new UsageError(problem)

    const files = firstFiles(platform)
    await writeNew(folder, files)
    const written = Object.keys(files)
    if (args.json) {
      writeJson(io, { platform, folder, files: written })
      return undefined
    }
    const { bold, green } = styles(io.hasColor)
    for (const path of written) io.out(`${green('+')} ${path}\n`)
    const where = shownPath(folder, io.folder)
    const next = [
      ...(where === '.' ? [] : [`cd ${shellPath(where)}`]),
      `${PROGRAM} start           # a gateway, in another terminal`,
      `${PROGRAM} register        # deploy to ${platform}_main`,
      `${PROGRAM} call add_note "Buy milk"`,
    ]
    io.out(`\n${bold('Next')}\n${next.map((line) => `  ${line}\n`).join('')}`)
    return undefined
  },
})

function problemOf(platform: string): string | undefined {
  if (PLATFORM.test(platform)) return undefined
  return 'The name of a platform has letters, digits, _ and -, and at most 58 characters'
}
