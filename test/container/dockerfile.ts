import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PROJECT } from '../helpers/gateway.ts'

/** An instruction of a Dockerfile. */
export interface Instruction {
  name: string
  text: string
}

/** A stage: from a FROM to the next. */
export interface Stage {
  image: string
  /** Its name; its number without one. */
  name: string
  instructions: Instruction[]
}

/** Reads the Dockerfile of the project. */
export async function readDockerfile(): Promise<Stage[]> {
  const text = await readFile(join(PROJECT, 'Dockerfile'), 'utf8')
  const lines = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
  const stages: Stage[] = []
  for (const line of lines) {
    const [, name = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? []
    if (name === 'FROM') {
      const [image = '', , as] = text.split(/\s+/)
      stages.push({ image, name: as ?? String(stages.length), instructions: [] })
    } else {
      stages.at(-1)!.instructions.push({ name, text: text.replaceAll(/\s+/g, ' ') })
    }
  }
  return stages
}

/** The texts of the instructions with this name. */
export function textsOf(stage: Stage, name: string): string[] {
  return stage.instructions.filter((one) => one.name === name).map(({ text }) => text)
}

/** The variables that a stage sets. */
export function environmentOf(stage: Stage): Record<string, string> {
  return Object.fromEntries(textsOf(stage, 'ENV').map((text) => text.split(/=(.*)/).slice(0, 2)))
}

/** The arguments of an instruction in exec form: `CMD ["node", "x"]`. */
export function execForm(text: string): string[] {
  return JSON.parse(text.slice(text.indexOf('[')))
}
