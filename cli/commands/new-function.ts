import { join, resolve } from 'node:path'
import { command, JSON_ARG, UsageError } from '../command.ts'
import { schemaFolder, shownPath, writeNew } from '../schema/folder.ts'
import { functionFile, nameProblem } from '../schema/new-files.ts'

export default command({
  args: {
    name: { type: 'positional', required: true, description: 'its name: list_todos' },
    folder: { type: 'positional', required: false, description: 'the schema; . by default' },
    ...JSON_ARG,
  },
  async run({ name, folder = '.', json }, io) {
    const problem = nameProblem(name)
    if (problem) throw new UsageError(problem)
    const root = schemaFolder(resolve(io.folder, folder))
    const files = functionFile(name)
    await writeNew(root, files)
    const file = shownPath(join(root, Object.keys(files)[0]!), io.folder)
    io.out(json ? `${JSON.stringify({ file })}\n` : `${file}\n`)
    return undefined
  },
})
