import { bytes, integer, optional, seconds, secondsFrom, word } from '../setting.ts'
import { asIs, hostName } from '../values.ts'

const MEBIBYTE = 1024 * 1024

export const HTTP = {
  host: word('GATEWAY_HOST', 'host name or address', '127.0.0.1', hostName, {
    restart: true,
    about: 'The address to listen on.',
    edge: '`0.0.0.0` is every IPv4 address of the machine, `::` every address. Ignored with a socket that systemd passes.',
  }),
  port: integer('GATEWAY_PORT', 9000, [0, 65_535], {
    restart: true,
    about: 'The port to listen on.',
    edge: '0 is any free port. Ignored with a socket that systemd passes.',
  }),
  shutdownTimeoutMs: seconds(
    'SHUTDOWN_TIMEOUT_SECS',
    30,
    {
      about: 'How long running requests may take after SIGTERM.',
      edge: '0 cuts them at once. Imports and moves to other servers that have not ended after half of it are given up: 503 `connection_failed`.',
    },
    0,
  ),
  shutdownDelayMs: optional('SHUTDOWN_DELAY_SECS', 'seconds', secondsFrom(0), {
    none: '5 where TRUSTED_PROXIES is set, otherwise 0',
    example: '5',
    about:
      'How long the gateway goes on as before after SIGTERM, but that /ready is 503: a load balancer sends requests elsewhere before the listener closes. SHUTDOWN_TIMEOUT_SECS begins after it.',
    edge: '0 to 2,147,483. Longer than the load balancer takes to notice. A second SIGTERM ends the gateway at once.',
  }),
  keepAliveMs: seconds('KEEP_ALIVE_SECS', 65, {
    about: 'How long a connection of a client stays open without a request, after the first.',
    edge: 'Longer than the load balancer keeps its idle connections: a request may be on its way when the gateway closes one.',
  }),
  requestTimeoutMs: seconds('REQUEST_TIMEOUT_SECS', 60, {
    about:
      'How long a request may take to arrive, head and body. Of an import: how long the next bytes of the dump may take.',
    edge: 'After that: 408 `invalid_request`. The head alone may take at most 20 s.',
  }),
  sendTimeoutMs: seconds('SEND_TIMEOUT_SECS', 60, {
    about: 'How long a client may read nothing of its answer.',
    edge: 'After that the connection is cut.',
  }),
  maxHttpConnections: integer('MAX_HTTP_CONNECTIONS', 10_000, [1, 1_000_000], {
    about: 'The open connections of clients. Each takes a file descriptor.',
    edge: 'One more is 503 `pool_exhausted`.',
  }),
  maxBodyBytes: bytes('MAX_BODY_BYTES', 16, {
    about: 'The size of a JSON body, before and after it is decompressed.',
    edge: 'More is 413 `payload_too_large`.',
  }),
  maxResultBytes: bytes('MAX_RESULT_BYTES', 64, {
    about:
      'The size of the rows of a call or a batch, as JSON, and of what a procedure gives, as text.',
    edge: 'More is 413 `result_too_large`. Streams have no such limit.',
  }),
  maxBufferedBytes: bytes(
    'MAX_BUFFERED_BYTES',
    256,
    {
      about:
        'The size of all request bodies, and of all answers that their clients have not taken yet, together. Bodies get the first half. Bodies below 16 KiB and answers below 64 KiB are not counted.',
      edge: 'One more body is 503 `pool_exhausted` before it is read. A body or an answer that is larger than the limit passes alone.',
    },
    [MEBIBYTE, 1024 * 1024 * MEBIBYTE],
  ),
}

export const ARCHIVE = {
  maxArchiveBytes: bytes('MAX_ARCHIVE_BYTES', 16, {
    about: 'The size of an archive as it is sent.',
    edge: 'More is 413 `payload_too_large`.',
  }),
  maxUnpackedBytes: bytes('MAX_UNPACKED_BYTES', 64, {
    about: 'The size of an archive unpacked. Archives are unpacked in memory.',
    edge: 'More is 400 `schema_extraction_failed`.',
  }),
  maxEntries: integer('MAX_ARCHIVE_ENTRIES', 10_000, [1, 10_000_000], {
    about: 'The files and folders in an archive.',
    edge: 'More is 400 `schema_extraction_failed`.',
  }),
}

export const TLS = {
  cert: optional('TLS_CERT_FILE', 'path', asIs, {
    none: 'HTTP without TLS',
    example: '/etc/db-gateway/tls.crt',
    about:
      'The certificate in PEM, with those between it and the root. With it the port speaks HTTPS alone, TLS 1.2 and newer.',
    edge: 'Needs TLS_KEY_FILE. SIGHUP reads the files again; where they cannot be used, the previous ones stay and the log says why.',
  }),
  key: optional('TLS_KEY_FILE', 'path', asIs, {
    example: '/etc/db-gateway/tls.key',
    about: 'The key of the certificate, in PEM.',
    edge: 'Needs TLS_CERT_FILE.',
  }),
  clientCa: optional('TLS_CLIENT_CA_FILE', 'path', asIs, {
    none: 'clients need no certificate',
    protects: true,
    example: '/etc/db-gateway/clients.crt',
    about: 'Authorities in PEM, one of which has signed the certificate of the client.',
    edge: 'Needs TLS_CERT_FILE. Setting or unsetting it needs a restart; another path does not. A client without a certificate gets no answer, not even from /health.',
  }),
}
