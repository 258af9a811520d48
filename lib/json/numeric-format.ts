/** JSON format of numeric and bigint: numbers, or strings for clients whose numbers are doubles. */
export type NumericFormat = 'number' | 'string'
