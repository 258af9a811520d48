import { spawn } from 'node:child_process'
import { difference, fits, readValues } from './answers.ts'
import type { Block } from './page.ts'

/** How a language is run: the command that reads the block from its standard input. */
const COMMANDS: Record<string, string[]> = {
  bash: ['bash', '-euo', 'pipefail'],
  js: ['node', '--input-type=module'],
  python: ['python3', '-'],
  php: ['php'],
}

/** Needed by the project itself; the others are run where they are installed. */
const REQUIRED = new Set(['bash', 'js'])

/**
 * Runs the blocks of a page in order, in one folder. A `json` or `text` block is what the block
 * before it writes; `…` in it stands for anything.
 *
 * @returns how many blocks ran
 * @throws with the line of the page where a block fails or writes something else
 */
export async function runBlocks(
  blocks: Block[],
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  let ran = 0
  for (const [index, block] of blocks.entries()) {
    const output = await outputOf(block, folder, env)
    if (output === undefined) continue
    ran += 1
    const shown = blocks[index + 1]
    if (shown?.notRun !== undefined) continue
    if (shown?.language === 'json') compareJson(shown, output)
    if (shown?.language === 'text') compareText(shown, output)
  }
  return ran
}

/**
 * Runs one block and gives what it writes; undefined where it is not to be run, or where the program
 * that it needs is not installed.
 *
 * @throws with the line of the page where the block fails
 */
export async function outputOf(
  block: Block,
  folder: string,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  const command = COMMANDS[block.language]
  if (command === undefined || block.notRun !== undefined) return undefined
  if (block.needs !== undefined && !(await isInstalled(block.needs, env))) return undefined
  return run(command, block, folder, env)
}

function isInstalled(program: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, ['--version'], { env, stdio: 'ignore' })
    child.once('error', () => resolve(false))
    child.once('close', (code) => resolve(code === 0))
  })
}

function compareJson({ text, line }: Block, output: string): void {
  let actual: unknown[]
  try {
    actual = readValues(output)
  } catch {
    throw new Error(`line ${line}: the answer is no JSON: ${output}`)
  }
  const unlike = difference(readValues(text), actual)
  if (unlike !== undefined) throw new Error(`line ${line}: ${unlike}`)
}

function compareText({ text, line }: Block, output: string): void {
  const lines = (one: string) => one.trimEnd().replace(/[ \r]+$/gm, '')
  if (fits(lines(text), lines(output))) return
  throw new Error(`line ${line}: the page shows\n${text}\nthe output is\n${output}`)
}

/** What the block writes; undefined where its language is not installed. */
function run(
  [program, ...args]: string[],
  { language, text, line }: Block,
  cwd: string,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const child = spawn(program!, args, { cwd, env })
    let output = ''
    let complaints = ''
    child.stdout.on('data', (data) => {
      output += data
    })
    child.stderr.on('data', (data) => {
      complaints += data
    })
    child.stdin.on('error', () => {})
    child.once('error', (error) => {
      if (REQUIRED.has(language)) reject(error)
      else resolve(undefined)
    })
    child.once('close', (code) => {
      if (code === 0) resolve(output)
      else reject(new Error(`line ${line}: exit ${code}\n${text}\n${output}\n${complaints}`))
    })
    child.stdin.end(text)
  })
}
