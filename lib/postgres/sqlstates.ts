// SQLSTATEs that several files use (PostgreSQL manual, "PostgreSQL Error Codes").

export const INVALID_CATALOG_NAME = '3D000'
export const INSUFFICIENT_PRIVILEGE = '42501'
export const UNDEFINED_COLUMN = '42703'
export const UNDEFINED_TABLE = '42P01'
export const OBJECT_IN_USE = '55006'
