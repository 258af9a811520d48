/** How numeric and bigint are written: as JSON numbers, or as JSON strings for clients whose numbers are doubles. */
export type NumericFormat = 'number' | 'string'
