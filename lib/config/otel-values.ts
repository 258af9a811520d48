import { choice } from './values.ts'

// Values of the settings of OpenTelemetry, as its specification writes them. All of these throw an
// Error that says what the value is not.

export const otlpCompression = choice(['none', 'gzip'])
export const tracesExporter = choice(['otlp', 'none'])
export const trueOrFalse = choice(['true', 'false'])

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const
export type SamplerName = (typeof SAMPLERS)[number]

export function samplerName(value: string): SamplerName {
  const name = SAMPLERS.find((known) => known === value.toLowerCase())
  if (name) return name
  throw new Error(`"${value}" is not one of ${SAMPLERS.join(', ')}`)
}

export function ratio(value: string): number {
  const number = /^[\d.]+(e-?\d+)?$/i.test(value) ? Number(value) : Number.NaN
  if (number >= 0 && number <= 1) return number
  throw new Error(`"${value}" is not a number from 0 to 1`)
}

export function httpUrl(value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url && /^https?:$/.test(url.protocol)) return url
  throw new Error('is not an http:// or https:// URL')
}

/** `grpc` has another port, so that nothing would arrive there. */
export function otlpProtocol(value: string): 'http/json' {
  if (value === 'http/json' || value === 'http/protobuf') return 'http/json'
  throw new Error(
    `"${value}" is not http/json: the gateway sends OTLP over HTTP (port 4318 of a collector)`,
  )
}

/** Reads `name=value` pairs with commas between, whose values are percent-encoded. */
export function pairs(value: string): [name: string, value: string][] {
  const read: [string, string][] = []
  for (const part of value.split(',')) {
    if (part.trim() === '') continue
    const [, name = '', text = ''] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/s.exec(part) ?? []
    // A header may be a secret, so the text is not repeated.
    if (name === '') throw new Error('has a part that is not name=value')
    read.push([name, decoded(text)])
  }
  return read
}

export function headers(value: string): [name: string, value: string][] {
  const read = pairs(value)
  for (const [name, text] of read) {
    if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name) || !/^[\t -~]*$/.test(text)) {
      throw new Error(`has a header that cannot be sent: ${name}`)
    }
  }
  return read
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
