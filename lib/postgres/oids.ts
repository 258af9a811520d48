/**
 * The first oid of what is not PostgreSQL's own: what has a lower one came with it, such as the
 * schema `public` (source, transam.h: FirstNormalObjectId).
 */
export const FIRST_NORMAL_OID = 16_384

/**
 * The first oid of what PostgreSQL's own catalogs did not get by hand: the composite types of its views
 * have higher ones (source, transam.h: FirstGenbkiObjectId).
 */
export const FIRST_CATALOG_OID = 10_000
