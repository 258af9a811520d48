import type { Sql } from '../postgres/connection.ts'
import type { Replaceable } from './any-order.ts'
import type { Ledger } from './ledger.ts'
import type { Leftover } from './leftovers.ts'
import type { Script } from './run-file.ts'

/** A changed view file, to be run. */
export function replaceableView(
  script: Script,
  ledger: Ledger,
  kinds: Map<string, string>,
): Replaceable {
  const made = ledger.views.get(script.file.name)?.views ?? []
  return {
    script,
    mark: () => Promise.resolve(),
    // The last one first: it may be made from those before it.
    drops: made.toReversed().map((view) => dropStatement(view, kinds.get(view))),
  }
}

/** Which of the ledger's views are materialized: `v` or `m`, by name; those that exist. */
export async function readViewKinds(sql: Sql, ledger: Ledger): Promise<Map<string, string>> {
  const names = [...ledger.views.values()].flatMap(({ views }) => views)
  if (names.length === 0) return new Map()
  const rows = await sql<{ name: string; kind: string }[]>`
    select name, c.relkind::text as kind
    from json_array_elements_text(${JSON.stringify(names)}::json) as name
    join pg_class c on c.oid = to_regclass(name)
    where c.relkind in ('v', 'm')
  `
  return new Map(rows.map(({ name, kind }) => [name, kind]))
}

/** The views that changed files no longer make, and those of files that are gone. */
export function viewLeftovers(
  ledger: Ledger,
  changed: Script[],
  gone: string[],
  kinds: Map<string, string>,
): Leftover[] {
  const current = new Set(changed.flatMap(viewsOf))
  const rerun = [...gone, ...changed.map(({ file }) => file.name)]
  return rerun.flatMap((name) =>
    (ledger.views.get(name)?.views ?? [])
      .filter((view) => !current.has(view) && kinds.has(view))
      .map((view) => ({
        name: view,
        drop: dropStatement(view, kinds.get(view)),
        code: 'view_deploy_failed',
        what: 'View',
        file: `views/${name}`,
      })),
  )
}

/** The views that a file makes, as SQL names them. */
export function viewsOf({ statements }: Script): string[] {
  return statements.flatMap(({ view }) => view ?? [])
}

function dropStatement(view: string, kind: string | undefined): string {
  return `drop ${kind === 'm' ? 'materialized view' : 'view'} if exists ${view}`
}
