import { hostname } from 'node:os'
import type { Log } from '../log.ts'
import { Exporter } from './exporter.ts'
import { createPost } from './post.ts'
import { createSampler } from './sampler.ts'
import type { ServerAddress } from './scope.ts'
import { Tracer } from './tracer.ts'

/** What the settings say of tracing. Durations are milliseconds. */
export interface TracingSettings {
  otlpEndpoint: URL | undefined
  otlpTracesEndpoint: URL | undefined
  otlpHeaders: [name: string, value: string][]
  otlpCompression: 'none' | 'gzip'
  otlpTimeoutMs: number
  otelServiceName: string
  otelResourceAttributes: [name: string, value: string][]
  otelSampler: string
  otelSamplerRatio: number
  otelExporter: 'otlp' | 'none'
  otelDisabled: 'true' | 'false'
  otelMaxQueue: number
  otelMaxBatch: number
  otelDelayMs: number
}

export interface Tracing {
  tracer: Tracer
  /** Sends what waits, within `limitMs`. */
  end(limitMs: number): Promise<void>
}

/** Starts to send spans to the collector of the settings. */
export function startTracing(
  settings: TracingSettings,
  { version, gateway, server, log }: About,
): Tracing {
  const url = settings.otlpTracesEndpoint ?? tracesBelow(settings.otlpEndpoint!)
  const { post, close } = createPost({
    url,
    headers: settings.otlpHeaders,
    isCompressed: settings.otlpCompression === 'gzip',
    timeoutMs: settings.otlpTimeoutMs,
  })
  const exporter = new Exporter({
    post,
    log,
    resource: {
      'host.name': hostname(),
      'process.pid': process.pid,
      'process.runtime.name': 'nodejs',
      'process.runtime.version': process.versions.node,
      'service.version': version,
      'service.instance.id': gateway,
      ...Object.fromEntries(settings.otelResourceAttributes),
      'service.name': serviceName(settings),
    },
    scope: { name: 'database-gateway', version },
    maxQueue: settings.otelMaxQueue,
    maxBatch: Math.min(settings.otelMaxBatch, settings.otelMaxQueue),
    delayMs: settings.otelDelayMs,
  })
  const sampler = createSampler(settings.otelSampler, settings.otelSamplerRatio)
  return {
    tracer: new Tracer(sampler, server, (span) => exporter.add(span)),
    end: async (limitMs) => {
      await exporter.end(limitMs)
      close()
    },
  }
}

/** What the spans say of this gateway. */
export interface About {
  version: string
  /** Id of the gateway among those of its catalog. */
  gateway: string
  server: ServerAddress
  log: Log
}

/** OTLP/HTTP: the signal's path is appended to the endpoint, whatever its own path is. */
function tracesBelow(endpoint: URL): URL {
  const url = new URL(endpoint)
  url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/traces`
  return url
}

const DEFAULT_NAME = 'database-gateway'

/** OTEL_SERVICE_NAME goes first, where it is set. */
function serviceName({ otelServiceName, otelResourceAttributes }: TracingSettings): string {
  if (otelServiceName !== DEFAULT_NAME) return otelServiceName
  const named = otelResourceAttributes.find(([name]) => name === 'service.name')
  return named?.[1] ?? otelServiceName
}
