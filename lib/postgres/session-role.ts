/**
 * SQL expression for the oid of the session's role, for a search_path of pg_catalog alone. The view
 * pg_roles would have its two tables planned.
 */
export const SESSION_ROLE = 'to_regrole(quote_ident(session_user))'

/**
 * FROM and WHERE of the settings that sessions of the role get in the database, as `x`. Those of other roles
 * come and go with other platforms.
 */
export const SESSION_SETTINGS = `pg_db_role_setting x
      where x.setdatabase in (0, (select d.oid from pg_database d where d.datname = current_database()))
        and x.setrole in (0, ${SESSION_ROLE})`
