import { join, resolve } from 'node:path'
import { command, JSON_ARG, UsageError } from '../command.ts'
import { filesOf, schemaFolder, shownPath, writeNew } from '../schema/folder.ts'
import { migrationText, nameProblem, nextMigration } from '../schema/new-files.ts'

export default command({
  args: {
    name: { type: 'positional', required: true, description: 'what it does: add_due_date' },
    folder: { type: 'positional', required: false, description: 'the schema; . by default' },
    ...JSON_ARG,
  },
  async run({ name, folder = '.', json }, io) {
    const problem = nameProblem(name)
    if (problem) throw new UsageError(problem)
    const root = schemaFolder(resolve(io.folder, folder))
    const path = nextMigration(await filesOf(root, 'migrations'), name)
    await writeNew(root, { [path]: migrationText(name) })
    const file = shownPath(join(root, path), io.folder)
    io.out(json ? `${JSON.stringify({ file })}\n` : `${file}\n`)
    return undefined
  },
})
