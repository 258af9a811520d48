import type { SchemaFile } from '../../archive/archive.ts'

/**
 * Line with which dbmate, goose, sql-migrate and Rambler begin the part that undoes a migration.
 */
const DOWN = /^[ \t]*--[ \t]*(?:migrate:down|\+goose down|\+migrate down|rambler down)\b/i
const UP = /^[ \t]*--[ \t]*(?:migrate:up|\+goose up|\+migrate up|rambler up)\b/i

/**
 * \restrict and \unrestrict, which pg_dump writes since 2025 to block psql's commands; they have no
 * effect on a deploy.
 */
const RESTRICT = /^\\(?:un)?restrict\b/

/** What says how psql shows results, and whether it goes on after an error: tests for pgTAP begin so. */
const DISPLAY =
  /^[ \t]*\\(?:pset|timing|unset|set[ \t]+(?:QUIET|ECHO|ON_ERROR_STOP|ON_ERROR_ROLLBACK))\b/i

/**
 * Returns the text that a deploy, or a test, runs: without the part that undoes a migration and without
 * \restrict, and in tests without psql's settings. Removed text becomes blanks, so that positions stay
 * valid.
 */
export function runnableText({ path, text }: SchemaFile): string {
  const isMigration = path.startsWith('migrations/')
  if (!text.includes('\\') && !(isMigration && /down/i.test(text))) return text
  const isTest = path.startsWith('tests/')
  let isDown = false
  const lines = text.split('\n').map((line) => {
    if (isMigration && DOWN.test(line)) isDown = true
    else if (isMigration && UP.test(line)) isDown = false
    const isRemoved = isDown || RESTRICT.test(line) || (isTest && DISPLAY.test(line))
    return isRemoved ? ' '.repeat(line.length) : line
  })
  return lines.join('\n')
}

/**
 * Finds what only psql understands in a text that does not parse. Returns the advice to show and
 * the offset in the text; undefined if there is nothing.
 */
export function psqlRefusal(text: string): { refusal: string; offset: number } | undefined {
  const copy = /^[ \t]*copy\b[^;]*\bfrom[ \t\n]+stdin\b/im.exec(text)
  if (copy) {
    const refusal =
      'COPY with data needs psql; write INSERT statements instead (pg_dump --inserts creates them)'
    return { refusal, offset: copy.index }
  }
  const command = /^[ \t]*\\([a-z!?]+)/im.exec(text)
  if (!command) return undefined
  const refusal =
    `\\${command[1]} is a command of psql, which a deploy does not support. ` +
    (HELP[command[1]!.toLowerCase()] ?? 'Remove the line')
  return { refusal, offset: command.index }
}

const HELP: Record<string, string> = {
  connect: 'Remove the line: a deploy is already connected to its database',
  c: 'Remove the line: a deploy is already connected to its database',
  copy: 'Write INSERT',
  i: 'Copy the text of that file into this one',
  ir: 'Copy the text of that file into this one',
  include: 'Copy the text of that file into this one',
  include_relative: 'Copy the text of that file into this one',
  set: 'Write the value where the variable is used',
}
