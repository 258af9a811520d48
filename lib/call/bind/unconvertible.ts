import { type ErrorDetails, GatewayError } from '../../errors.ts'

/** Returns a type as errors show it, without the `public` schema. */
export function typeLabel(type: string): string {
  return type.replace(/\bpublic\./g, '')
}

/** Returns the error for a value that does not convert to its argument's type. */
export function unconvertible(
  label: string,
  type: string,
  why: string,
  details: ErrorDetails = {},
): GatewayError {
  const shown = typeLabel(type)
  return new GatewayError(
    'invalid_request',
    `Parameter ${label} (${shown}) does not convert: ${why}`,
    { parameter: label, type: shown, cause: why, ...details },
  )
}
