/**
 * The first oid of user objects. Objects that initdb creates have lower ones, such as the schema
 * `public` (PostgreSQL source, transam.h: FirstNormalObjectId).
 */
export const FIRST_NORMAL_OID = 16_384

/**
 * The first oid that genbki.pl assigns. Types of the catalogs with fixed oids are below it; the
 * composite types of system views are above (PostgreSQL source, transam.h: FirstGenbkiObjectId).
 */
export const FIRST_CATALOG_OID = 10_000
