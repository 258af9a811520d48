import { newFileCommand } from '../new-file.ts'
import { filesOf } from '../schema/folder.ts'
import { migrationFile } from '../schema/new-files.ts'

export default newFileCommand('what it does: add_due_date', async (name, root) =>
  migrationFile(await filesOf(root, 'migrations'), name),
)
