import { newFileCommand } from '../new-file.ts'
import { functionFile } from '../schema/new-files.ts'

export default newFileCommand('its name: list_todos', functionFile)
