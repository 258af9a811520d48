/**
 * The first oid of what is not PostgreSQL's own: what has a lower one came with it, such as the
 * schema `public` (source, transam.h: FirstNormalObjectId).
 */
export const FIRST_NORMAL_OID = 16_384
