import { type ErrorDetails, GatewayError } from '../../errors.ts'

/** How a type is told: what is in `public` is known without it. */
export function typeLabel(type: string): string {
  return type.replace(/\bpublic\./g, '')
}

/** The error of a value that is not one of its argument's type. */
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
