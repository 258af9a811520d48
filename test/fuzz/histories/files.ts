import type { Files } from '../../helpers/platforms.ts'

interface Column {
  name: string
  type: string
  isEnum: boolean
}
export interface Table {
  name: string
  columns: Column[]
  trigger: 'none' | 'file' | 'migration'
}
export interface Fn {
  name: string
  table: string
  kind: 'insert' | 'rows' | 'count' | 'calls' | 'atomic'
  version: number
  parameter: string
  result: 'bigint' | 'integer' | 'text'
  folder: string
  grants: string[]
  comment: string
}
export interface View {
  name: string
  table: string
  /** A view on the view. */
  above: boolean
  extra: number
}

/** What an archive declares. */
export interface Model {
  tables: Table[]
  enums: Map<string, string[]>
  functions: Fn[]
  views: View[]
}

/** The statement that makes the trigger of a table. */
export function triggerOf({ name }: Table): string {
  return `create trigger tr_${name} before insert on ${name} for each row execute function tf_${name}()`
}

/** All files of a release but its migrations. */
export function filesOf({ tables, enums, functions, views }: Model): Files {
  const files: Files = {}
  for (const [name, values] of enums) {
    files[`types/${name}.pssql`] =
      `create type ${name} as enum (${values.map((one) => `'${one}'`).join(', ')});`
  }
  for (const table of tables) {
    if (table.trigger === 'none') continue
    files[`functions/tf_${table.name}.pssql`] =
      `create or replace function tf_${table.name}() returns trigger language plpgsql as $$
begin new.${table.columns[1]!.name} := 7; return new; end $$;`
    if (table.trigger === 'file') {
      files[`triggers/${table.name}.pssql`] = `${triggerOf(table)};`
    }
  }
  for (const view of views) {
    const { columns } = tables.find(({ name }) => name === view.table)!
    const list = columns
      .map(({ name }) => name)
      .concat(Array.from({ length: view.extra }, (_, i) => `${i} as x${i}`))
    files[`views/${view.name}.pssql`] =
      `create or replace view ${view.name} as select ${list.join(', ')} from ${view.table};`
    if (view.above) {
      files[`views/a_${view.name}.pssql`] =
        `create or replace view a_${view.name} as select id from ${view.name} where id > 0;`
    }
  }
  for (const fn of functions) {
    const signature = `${fn.name}(integer)`
    const described = [
      ...fn.grants.map((grant) =>
        grant.startsWith('revoke')
          ? `${grant} ${signature} from public`
          : `${grant} ${signature} to public`,
      ),
      ...(fn.comment ? [`comment on function ${signature} is '${fn.comment}'`] : []),
    ]
    files[`functions/${fn.folder}${fn.name}.pssql`] = [
      functionText(fn, functions, tables),
      ...described,
    ]
      .map((text) => `${text};\n`)
      .join('')
  }
  return files
}

function functionText(fn: Fn, functions: Fn[], tables: Table[]): string {
  const { name, table, kind, version, parameter, result } = fn
  const column = tables.find((one) => one.name === table)!.columns[1]!.name
  const head = `create or replace function ${name}(${parameter} integer) returns`
  switch (kind) {
    case 'insert':
      return `${head} ${result} language sql as $$
insert into ${table} (id, ${column}) values (${parameter} + ${version}, ${version}) on conflict (id) do update set ${column} = ${version} returning id::${result} $$`
    case 'rows':
      return `${head} setof ${table} language sql as $$ select * from ${table} where id >= ${parameter} - ${version} order by id $$`
    case 'count':
      return `${head} ${result} language plpgsql as $$
begin return (select count(${column}) + ${version} + ${parameter} from ${table}); end $$`
    case 'atomic':
      return `${head} ${result} language sql begin atomic; select (max(id) + ${parameter} + ${version})::${result} from ${table}; end`
    case 'calls': {
      const other = functions.find((one) => one.kind === 'count')
      return `${head} ${result} language plpgsql as $$
begin return ${other ? `${other.name}(${parameter})` : version}; end $$`
    }
  }
}
