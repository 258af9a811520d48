import { quoteIdentifier, quoteLiteral } from '../../postgres/quote.ts'
import { LIST_SETTINGS } from '../objects/settings.ts'

/** A setting of ALTER DATABASE … SET, or of ALTER ROLE … IN DATABASE … SET. */
export interface DatabaseSetting {
  /** Null: of all roles. */
  role: string | null
  /** `name=value`, as in pg_db_role_setting. */
  setting: string
}

/** Returns the statements that give a database these settings. */
export function settingStatements(name: string, settings: DatabaseSetting[]): string[] {
  const database = quoteIdentifier(name)
  return settings.map(({ role, setting }) => {
    const what =
      role === null
        ? `database ${database}`
        : `role ${quoteIdentifier(role)} in database ${database}`
    return `alter ${what} set ${settingSql(setting)}`
  })
}

/** Converts `name=value`, as in pg_db_role_setting, to the syntax of SET. */
export function settingSql(setting: string): string {
  const at = setting.indexOf('=')
  const name = setting.slice(0, at)
  const value = setting.slice(at + 1)
  const parts = LIST_SETTINGS.has(name.toLowerCase())
    ? [...value.matchAll(/"((?:[^"]|"")*)"|[^,\s]+/g)].map(([word, quoted]) =>
        quoted === undefined ? word : quoted.replaceAll('""', '"'),
      )
    : [value]
  const literals = (parts.length > 0 ? parts : ['']).map(quoteLiteral)
  return `${name.split('.').map(quoteIdentifier).join('.')} to ${literals.join(', ')}`
}
