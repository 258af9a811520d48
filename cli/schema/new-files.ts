import { basename, dirname, extname, join } from 'node:path'
import { compareMigrations } from '../../lib/archive/order.ts'
import { Failure } from '../command.ts'

/** SQL files of the gateway's own examples end in this. */
const EXTENSION = '.pssql'

/** What a migration, a function or a test may be named. */
const NAME = /^[a-z_][a-z0-9_]{0,62}$/

/** A file to add to a schema. */
export interface NewFile {
  /** Path from the folder with the sections. */
  path: string
  text: string
}

/** Returns what is wrong with a name, or undefined. */
export function nameProblem(name: string): string | undefined {
  if (NAME.test(name)) return undefined
  return `A name has lower-case letters, digits and _, a letter first, and at most 63 characters; got "${name}"`
}

/**
 * Returns the next migration: in the folder of the last one, with the number after its number, as many
 * digits, the same text around them (`V2__a` is followed by `V3__b`) and the same extension.
 * @param existing paths of the migrations in order
 * @throws {Failure} if one of them would run after it
 */
export function migrationFile(existing: string[], name: string): NewFile {
  const numbered = existing.filter((file) => /\d/.test(file))
  const last = numbered.at(-1) ?? ''
  const folder = dirname(last)
  const [, prefix = '', digits = '000', separator = ''] =
    /^(\D*)(\d+)(_*)/.exec(basename(last)) ?? []
  const number = String(BigInt(digits) + 1n).padStart(digits.length, '0')
  const file = `${prefix}${number}${separator || '_'}${name}${extname(last) || EXTENSION}`
  const path = join(folder, file)
  const after = existing.at(-1)
  if (after !== undefined && compareMigrations(path, after) < 0) {
    throw new Failure(
      `Nothing is written: ${after} would run after ${path}. Write a file with a name that follows it`,
    )
  }
  return {
    path: `migrations/${path}`,
    text: `-- ${name.replaceAll('_', ' ')}: runs once in each database; do not edit it once it has run somewhere\n`,
  }
}

/** Returns a new function. */
export function functionFile(name: string): NewFile {
  return {
    path: `functions/${name}${EXTENSION}`,
    text: `create or replace function ${name}(p_name text)
returns text
language sql stable as $$
    select 'Hello ' || p_name;
$$;
`,
  }
}

/** Returns the files of a schema that deploys: a migration, two functions and a test. */
export function firstFiles(platform: string): Record<string, string> {
  return {
    'postgresql/migrations/001_notes.pssql': `create table notes (
    note_id bigint generated always as identity primary key,
    body    text not null,
    made_at timestamptz not null default now()
);
`,
    'postgresql/functions/add_note.pssql': `create or replace function add_note(p_body text)
returns bigint
language sql as $$
    insert into notes (body) values (p_body) returning note_id;
$$;
`,
    'postgresql/functions/list_notes.pssql': `create or replace function list_notes(p_limit integer default 20)
returns table (o_note_id bigint, o_body text, o_made_at timestamptz)
language sql stable as $$
    select note_id, body, made_at from notes order by note_id limit p_limit;
$$;
`,
    'tests/notes.sql': `-- A test is SQL that fails where something is wrong.
do $$
declare
    v_id bigint := add_note('Buy milk');
begin
    assert (select o_body from list_notes() where o_note_id = v_id) = 'Buy milk', 'the note is listed';
end $$;
`,
    'gateway.json': `${JSON.stringify({ platform }, null, 2)}\n`,
  }
}
