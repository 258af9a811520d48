import { functionFile } from '../schema/new-files.ts'
import { newFileCommand } from '../new-file.ts'

export default newFileCommand('its name: list_todos', functionFile)
