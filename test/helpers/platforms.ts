import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createTarGzip } from 'nanotar'
import { PROJECT } from './gateway.ts'

/** Files of an archive: `{ 'functions/ping.pssql': 'create …' }`. */
export type Files = Record<string, string>

/** Packs files into a tar.gz as a platform does, below postgresql/. */
export async function pack(files: Files): Promise<Uint8Array> {
  return createTarGzip(
    Object.entries(files).map(([path, data]) => ({ name: `postgresql/${path}`, data })),
  )
}

/** Returns the files of the example platform. */
export async function clinicFiles(): Promise<Files> {
  const root = join(PROJECT, 'test/fixtures/clinic/postgresql')
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  const files = await Promise.all(
    paths.map(async (path) => [relative(root, path), await readFile(path, 'utf8')] as const),
  )
  return Object.fromEntries(files)
}

/** Returns a file that creates a function which returns the text. */
export function textFunction(name: string, text: string): Files {
  return {
    [`functions/${name}.pssql`]: `create or replace function ${name}() returns text language sql as $$ select '${text}' $$;`,
  }
}

/** A table of notes with functions that write and count them, and `ping`. */
export const NOTES: Files = {
  ...textFunction('ping', 'pong'),
  'tables/notes.pgsql': 'create table notes (id integer primary key, text text);',
  'functions/add_note.pssql': `
    create or replace function add_note(key integer) returns text language sql
    as $$ insert into notes values (key, 'note') returning current_database() $$;`,
  'functions/count_notes.pssql': `
    create or replace function count_notes() returns bigint language sql stable
    as $$ select count(*) from notes $$;`,
}

/** Names and texts that could end a literal or a comment of a generated file. */
export const ODD_NAMES: Files = {
  'migrations/900_odd.pssql': `
    create type odd as enum ('it''s', 'a"b', E'new\\nline', '\\', '*/ ?> <?php', '\${x}', '$x');
    comment on type odd is 'ends */ ?> <?php exit; // \`\${x}\`';
    create type "Odd Type" as ("a b" int, "x'y" odd, "*/" bigint, "\\" text[]);
    create table "odd/table" ("1" int primary key, "class" odd not null, "q""t" "Odd Type");
    insert into "odd/table" values (1, '*/ ?> <?php', row(1, 'it''s', 9007199254740993, array['\\'])::"Odd Type");`,
  'functions/odd.pssql': `
    create or replace function odd_rows("p 1" odd default 'it''s', "p'2" int default 1)
    returns setof "odd/table" language sql stable as $$ select * from "odd/table" $$;
    comment on function odd_rows is E'ends */ ?> <?php exit;\\n@param p 1 */ exit\\n@error 23505 */ \`\${x}\`';
    create or replace function __proto__() returns int language sql immutable as $$ select 1 $$;
    create or replace function constructor() returns int language sql immutable as $$ select 2 $$;
    create or replace function "class"(this int) returns int language sql immutable as $$ select 3 $$;`,
}
