import type { Json } from '../../json/json.ts'
import type { Argument } from '../signatures/signature.ts'

/** Parameters of a call: an array by position, or a map by name. */
export type Values = Json[] | Map<string, Json>

/** The value of one argument. */
export interface Given {
  argument: Argument
  /** Name in errors: `p_id`, or `1` for the first parameter without a name. */
  label: string
  value: Json
  /** True: the SQL has `name => …`. */
  named: boolean
  /** True: the value is the array of the VARIADIC argument. */
  variadic: boolean
}
