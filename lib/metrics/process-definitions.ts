import type { Definition } from './definitions.ts'

const of = (
  type: Definition['type'],
  help: string,
  { labels = [], alert }: { labels?: string[]; alert?: string } = {},
): Definition => ({ type, labels, help, ...(alert && { alert }) })

/** The metrics of the process, which prom-client makes, as docs/metrics.md describes them. */
export const PROCESS_METRICS: Record<string, Definition> = {
  process_cpu_user_seconds_total: of('counter', 'Processor time in user mode.'),
  process_cpu_system_seconds_total: of('counter', 'Processor time in the kernel.'),
  process_cpu_seconds_total: of('counter', 'Processor time.'),
  process_start_time_seconds: of('gauge', 'Start of the process, in seconds since 1970.', {
    alert: 'DbGatewayRestarts',
  }),
  process_resident_memory_bytes: of('gauge', 'Memory that the process occupies.'),
  process_virtual_memory_bytes: of('gauge', 'Virtual memory of the process (Linux).'),
  process_heap_bytes: of('gauge', 'Size of the data segment (Linux).'),
  process_open_fds: of('gauge', 'Open file descriptors (Linux).', { alert: 'DbGatewayFiles' }),
  process_max_fds: of('gauge', 'Limit on open file descriptors (Linux).', {
    alert: 'DbGatewayFiles',
  }),
  nodejs_eventloop_lag_seconds: of('gauge', 'Delay of the event loop at the scrape.'),
  nodejs_eventloop_lag_min_seconds: of('gauge', 'Shortest delay since the last scrape.'),
  nodejs_eventloop_lag_max_seconds: of('gauge', 'Longest delay since the last scrape.'),
  nodejs_eventloop_lag_mean_seconds: of('gauge', 'Mean delay since the last scrape.'),
  nodejs_eventloop_lag_stddev_seconds: of('gauge', 'Standard deviation of these delays.'),
  nodejs_eventloop_lag_p50_seconds: of('gauge', 'Median of these delays.'),
  nodejs_eventloop_lag_p90_seconds: of('gauge', '90th percentile of these delays.'),
  nodejs_eventloop_lag_p99_seconds: of('gauge', '99th percentile of these delays.', {
    alert: 'DbGatewayEventLoopBusy',
  }),
  nodejs_active_resources: of('gauge', 'Resources that keep the event loop alive.', {
    labels: ['type'],
  }),
  nodejs_active_resources_total: of('gauge', 'Their number.'),
  nodejs_active_handles: of('gauge', 'Handles of libuv.', { labels: ['type'] }),
  nodejs_active_handles_total: of('gauge', 'Their number.'),
  nodejs_active_requests: of('gauge', 'Requests of libuv.', { labels: ['type'] }),
  nodejs_active_requests_total: of('gauge', 'Their number.'),
  nodejs_heap_size_total_bytes: of('gauge', "Size of JavaScript's heap."),
  nodejs_heap_size_used_bytes: of('gauge', "Used part of JavaScript's heap."),
  nodejs_external_memory_bytes: of('gauge', 'Memory of buffers outside of the heap.'),
  nodejs_heap_space_size_total_bytes: of('gauge', 'Size of a space of the heap.', {
    labels: ['space'],
  }),
  nodejs_heap_space_size_used_bytes: of('gauge', 'Used part of a space of the heap.', {
    labels: ['space'],
  }),
  nodejs_heap_space_size_available_bytes: of('gauge', 'Free part of a space of the heap.', {
    labels: ['space'],
  }),
  nodejs_version_info: of('gauge', 'Always 1; the version of Node.js is in its labels.', {
    labels: ['version', 'major', 'minor', 'patch'],
  }),
  nodejs_gc_duration_seconds: of('histogram', 'Duration of garbage collections, by kind.', {
    labels: ['kind'],
    alert: 'DbGatewayGarbageCollection',
  }),
}
