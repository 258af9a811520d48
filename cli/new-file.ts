import { join, resolve } from 'node:path'
import { type Command, command, JSON_ARG, UsageError } from './command.ts'
import { schemaFolder, shownPath, writeNew } from './schema/folder.ts'
import { type NewFile, nameProblem } from './schema/new-files.ts'
import { writeJson, writeText } from './terminal/show.ts'

/**
 * Defines a command that adds a file to a schema folder.
 * @param description of the name that it is given
 * @param make returns the file, by that name and the folder with the sections
 */
export function newFileCommand(
  description: string,
  make: (name: string, root: string) => Promise<NewFile> | NewFile,
): Command {
  return command({
    args: {
      name: { type: 'positional', required: true, description },
      folder: { type: 'positional', required: false, description: 'the schema; . by default' },
      ...JSON_ARG,
    },
    async run({ name, folder = '.', json }, io) {
      const problem = nameProblem(name)
      if (problem) throw new UsageError(problem)
      const root = schemaFolder(resolve(io.folder, folder))
      const { path, text } = await make(name, root)
      await writeNew(root, { [path]: text })
      const file = shownPath(join(root, path), io.folder)
      if (json) writeJson(io, { file })
      else writeText(io, `${file}\n`)
      return undefined
    },
  })
}
