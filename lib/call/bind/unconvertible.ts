import { type ErrorDetails, GatewayError } from '../../errors.ts'

/** The error of a value that is not one of its argument's type. */
export function unconvertible(
  label: string,
  type: string,
  why: string,
  details: ErrorDetails = {},
): GatewayError {
  return new GatewayError(
    'invalid_request',
    `Parameter ${label} (${type}) does not convert: ${why}`,
    { parameter: label, type, cause: why, ...details },
  )
}
