import type { SchemaFile } from '../../archive/archive.ts'

/** dbmate, goose, sql-migrate and Rambler begin the way back with such a line. */
const DOWN = /^[ \t]*--[ \t]*(?:migrate:down|\+goose down|\+migrate down|rambler down)\b/i
const UP = /^[ \t]*--[ \t]*(?:migrate:up|\+goose up|\+migrate up|rambler up)\b/i

/** Of pg_dump since 2025: they hold psql's commands off, and mean nothing here. */
const RESTRICT = /^\\(?:un)?restrict\b/

/**
 * The text of a file that a deploy runs: without the way back, and without \restrict. What is left
 * out becomes blanks, so that all else keeps its place.
 */
export function runnableText({ path, text }: SchemaFile): string {
  const isMigration = path.startsWith('migrations/')
  if (!text.includes('\\') && !(isMigration && /down/i.test(text))) return text
  let isDown = false
  const lines = text.split('\n').map((line) => {
    if (isMigration && DOWN.test(line)) isDown = true
    else if (isMigration && UP.test(line)) isDown = false
    return isDown || RESTRICT.test(line) ? ' '.repeat(line.length) : line
  })
  return lines.join('\n')
}

/** What psql alone understands of a text that does not parse: what to do, and where it stands. */
export function psqlRefusal(text: string): { refusal: string; offset: number } | undefined {
  const copy = /^[ \t]*copy\b[^;]*\bfrom[ \t\n]+stdin\b/im.exec(text)
  if (copy) {
    const refusal =
      'COPY with data needs psql to send it; write INSERT (pg_dump --inserts makes them)'
    return { refusal, offset: copy.index }
  }
  const command = /^[ \t]*\\([a-z!?]+)/im.exec(text)
  if (!command) return undefined
  const refusal =
    `\\${command[1]} is a command of psql, which a deploy does not have. ` +
    (HELP[command[1]!.toLowerCase()] ?? 'Take the line out')
  return { refusal, offset: command.index }
}

const HELP: Record<string, string> = {
  connect: 'Take the line out: a deploy is connected to the database that it is for',
  c: 'Take the line out: a deploy is connected to the database that it is for',
  copy: 'Write INSERT',
  i: 'Put the text of that file into this one',
  ir: 'Put the text of that file into this one',
  include: 'Put the text of that file into this one',
  include_relative: 'Put the text of that file into this one',
  set: 'Write the value where the variable is used',
}
