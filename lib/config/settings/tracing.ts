import {
  headers,
  httpUrl,
  otlpCompression,
  otlpProtocol,
  pairs,
  ratio,
  samplerName,
  tracesExporter,
  trueOrFalse,
} from '../otel-values.ts'
import { integer, list, optional, word } from '../setting.ts'
import { asIs } from '../values.ts'

/** Settings of OpenTelemetry, under its own names. */
export const TRACING = {
  otlpEndpoint: optional('OTEL_EXPORTER_OTLP_ENDPOINT', 'URL', httpUrl, {
    none: 'no tracing',
    example: 'http://localhost:4318',
    restart: true,
    about: 'The collector that spans are sent to as OTLP/JSON over HTTP, below `/v1/traces`.',
    edge: 'A collector that is away costs calls nothing: spans wait in memory, within limits, and are dropped beyond them.',
  }),
  otlpTracesEndpoint: optional('OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'URL', httpUrl, {
    none: '`/v1/traces` below OTEL_EXPORTER_OTLP_ENDPOINT',
    example: 'http://localhost:4318/v1/traces',
    restart: true,
    about: 'The whole URL for spans.',
  }),
  otlpHeaders: list('OTEL_EXPORTER_OTLP_HEADERS', 'name=value, with commas between', headers, {
    restart: true,
    about: 'Headers for the collector, such as a token. Values are percent-encoded.',
    secret: true,
  }),
  otlpProtocol: word('OTEL_EXPORTER_OTLP_PROTOCOL', '`http/json`', 'http/json', otlpProtocol, {
    restart: true,
    about: 'What the collector is spoken to with.',
    edge: '`http/protobuf` is taken for `http/json`, which has the same port. `grpc` stops the start.',
  }),
  otlpCompression: word(
    'OTEL_EXPORTER_OTLP_COMPRESSION',
    '`none` or `gzip`',
    'none',
    otlpCompression,
    { restart: true, about: 'Whether what is sent to the collector is compressed.' },
  ),
  otlpTimeoutMs: integer(
    'OTEL_EXPORTER_OTLP_TIMEOUT',
    10_000,
    [1, 3_600_000],
    {
      restart: true,
      about: 'How long the collector may take to answer one request.',
      edge: 'After that the batch is sent again, five times at most.',
    },
    'milliseconds',
  ),
  otelServiceName: word('OTEL_SERVICE_NAME', 'text', 'database-gateway', asIs, {
    restart: true,
    about: 'The name of the service in traces, and in LOG_FORMAT=ecs.',
  }),
  otelResourceAttributes: list(
    'OTEL_RESOURCE_ATTRIBUTES',
    'name=value, with commas between',
    pairs,
    {
      example: 'deployment.environment.name=production',
      restart: true,
      about: 'What all spans say of this gateway. Values are percent-encoded.',
      edge: 'OTEL_SERVICE_NAME goes before a `service.name` here.',
    },
  ),
  otelSampler: word(
    'OTEL_TRACES_SAMPLER',
    'name of a sampler',
    'parentbased_always_on',
    samplerName,
    {
      restart: true,
      about:
        'Which requests have spans: `always_on`, `always_off`, `traceidratio`, or one of these with `parentbased_` before it, which does as the caller does where the request has a `traceparent`.',
    },
  ),
  otelSamplerRatio: word('OTEL_TRACES_SAMPLER_ARG', 'number from 0 to 1', '1', ratio, {
    restart: true,
    about: 'The part of the traces that `traceidratio` takes.',
  }),
  otelExporter: word('OTEL_TRACES_EXPORTER', '`otlp` or `none`', 'otlp', tracesExporter, {
    restart: true,
    about: '`none`: no tracing, whatever the other settings say.',
  }),
  otelDisabled: word('OTEL_SDK_DISABLED', '`true` or `false`', 'false', trueOrFalse, {
    restart: true,
    about: '`true`: no tracing, whatever the other settings say.',
  }),
  otelMaxQueue: integer('OTEL_BSP_MAX_QUEUE_SIZE', 2048, [1, 1_000_000], {
    restart: true,
    about: 'The spans that wait for the collector.',
    edge: 'Further ones are dropped, which a line in the log says.',
  }),
  otelMaxBatch: integer('OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 512, [1, 100_000], {
    restart: true,
    about: 'The spans of one request to the collector.',
  }),
  otelDelayMs: integer(
    'OTEL_BSP_SCHEDULE_DELAY',
    5000,
    [1, 3_600_000],
    { restart: true, about: 'How long spans wait for others before they are sent.' },
    'milliseconds',
  ),
}
