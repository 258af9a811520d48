import type { Json } from '../../json/json.ts'
import type { Argument } from '../signatures/signature.ts'

/** What a caller gives: by position, or by name. */
export type Values = Json[] | Map<string, Json>

/** The value of one argument. */
export interface Given {
  argument: Argument
  /** How errors name it: `p_id`, or `1` for the first. */
  label: string
  value: Json
  /** Whether it is written `name => …`, and whether it is the VARIADIC array. */
  named: boolean
  variadic: boolean
}
