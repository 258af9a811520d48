import { GatewayError } from '../../errors.ts'

/** An entry of a table of contents: id, two oids, kind with its name, and the owner at the end. */
const ENTRY = /^\d+; \d+ \d+ (?<what>.*) (?<owner>\S*)$/

/** Prefix of the platforms' roles. */
const ROLE = /^gw_/

/** The gateway's ledger of migrations, which each of its databases has. */
const LEDGER = 'TABLE public _db_gateway_migrations'

/** Its rows, which a dump of the schema alone has not. An empty table has the entry too. */
const LEDGER_ROWS = 'TABLE DATA public _db_gateway_migrations'

/**
 * Checks that a dump is of a database of the platform, by its ledger and by the owners in its table
 * of contents.
 * @param lines lines of `pg_restore --list`
 * @param role role of the platform
 * @returns whether it has objects of that role
 * @throws {GatewayError} import_failed
 */
export function checkContents(lines: string[], role: string): boolean {
  let hasLedger = false
  let hasRows = false
  let isOfRole = false
  for (const line of lines) {
    const { what = '', owner = '' } = ENTRY.exec(line)?.groups ?? {}
    if (what === LEDGER) hasLedger = true
    if (what === LEDGER_ROWS) hasRows = true
    if (owner === role) isOfRole = true
    if (!ROLE.test(owner) || owner === role || isOfExtension(what)) continue
    throw new GatewayError(
      'import_failed',
      `The dump is of a database of another platform: it has objects of the role ${owner}, and the role of this platform is ${role}`,
      { hint: 'Import it for the platform that it is of' },
    )
  }
  if (hasLedger && hasRows) return isOfRole
  if (hasLedger) {
    throw new GatewayError(
      'import_failed',
      "The dump has the gateway's ledger without its rows, so that the next deploy would run all migrations again",
      { hint: 'Dump the data too, without --schema-only and --exclude-table-data' },
    )
  }
  throw new GatewayError(
    'import_failed',
    'The dump has no ledger of a gateway, so it is not known which migrations it has',
    {
      hint: 'Restore it with pg_restore into a database of its own, then take that over with POST /admin/adopt',
    },
  )
}

/**
 * Returns the entries to restore. Comments on extensions are left out: an extension that the
 * database has from BASE_TEMPLATE is not the platform's to comment on.
 */
export function entriesToRestore(lines: string[]): string[] {
  return lines.filter((line) => !/^\d+; \d+ \d+ COMMENT - EXTENSION /.test(line))
}

/** Entries of extensions have no owner: the last word belongs to the name. */
function isOfExtension(what: string): boolean {
  return /^(COMMENT - )?EXTENSION /.test(what)
}
