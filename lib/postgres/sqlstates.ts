// SQLSTATEs that several files use (PostgreSQL manual, "PostgreSQL Error Codes").

export const READ_ONLY_SQL_TRANSACTION = '25006'
export const INVALID_TRANSACTION_TERMINATION = '2D000'
export const INVALID_CATALOG_NAME = '3D000'
export const INSUFFICIENT_PRIVILEGE = '42501'
export const UNDEFINED_COLUMN = '42703'
export const UNDEFINED_TABLE = '42P01'
export const TOO_MANY_CONNECTIONS = '53300'
export const OBJECT_IN_USE = '55006'
export const LOCK_NOT_AVAILABLE = '55P03'
