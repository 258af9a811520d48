import { counter, type Definition, gauge, histogram } from './definitions.ts'

/** The metrics of the process, which prom-client makes, as docs/metrics.md describes them. */
export const PROCESS_METRICS: Record<string, Definition> = {
  process_cpu_user_seconds_total: counter('', 'Processor time in user mode.'),
  process_cpu_system_seconds_total: counter('', 'Processor time in the kernel.'),
  process_cpu_seconds_total: counter('', 'Processor time.'),
  process_start_time_seconds: gauge(
    '',
    'Start of the process, in seconds since 1970.',
    'DbGatewayRestarts',
  ),
  process_resident_memory_bytes: gauge('', 'Memory that the process occupies.'),
  process_virtual_memory_bytes: gauge('', 'Virtual memory of the process (Linux).'),
  process_heap_bytes: gauge('', 'Size of the data segment (Linux).'),
  process_open_fds: gauge('', 'Open file descriptors (Linux).', 'DbGatewayFiles'),
  process_max_fds: gauge('', 'Limit on open file descriptors (Linux).', 'DbGatewayFiles'),
  nodejs_eventloop_lag_seconds: gauge('', 'Delay of the event loop at the scrape.'),
  nodejs_eventloop_lag_min_seconds: gauge(
    '',
    'Shortest delay since the last scrape; none without a delay since then, as for the mean and the deviation.',
  ),
  nodejs_eventloop_lag_max_seconds: gauge('', 'Longest delay since the last scrape.'),
  nodejs_eventloop_lag_mean_seconds: gauge('', 'Mean delay since the last scrape.'),
  nodejs_eventloop_lag_stddev_seconds: gauge('', 'Standard deviation of these delays.'),
  nodejs_eventloop_lag_p50_seconds: gauge('', 'Median of these delays.'),
  nodejs_eventloop_lag_p90_seconds: gauge('', '90th percentile of these delays.'),
  nodejs_eventloop_lag_p99_seconds: gauge(
    '',
    '99th percentile of these delays.',
    'DbGatewayEventLoopBusy',
  ),
  nodejs_active_resources: gauge('type', 'Resources that keep the event loop alive.'),
  nodejs_active_resources_total: gauge('', 'Their number.'),
  nodejs_active_handles: gauge('type', 'Handles of libuv.'),
  nodejs_active_handles_total: gauge('', 'Their number.'),
  nodejs_active_requests: gauge('type', 'Requests of libuv.'),
  nodejs_active_requests_total: gauge('', 'Their number.'),
  nodejs_heap_size_total_bytes: gauge('', "Size of JavaScript's heap."),
  nodejs_heap_size_used_bytes: gauge('', "Used part of JavaScript's heap."),
  nodejs_external_memory_bytes: gauge('', 'Memory of buffers outside of the heap.'),
  nodejs_heap_space_size_total_bytes: gauge('space', 'Size of a space of the heap.'),
  nodejs_heap_space_size_used_bytes: gauge('space', 'Used part of a space of the heap.'),
  nodejs_heap_space_size_available_bytes: gauge('space', 'Free part of a space of the heap.'),
  nodejs_version_info: gauge(
    'version major minor patch',
    'Always 1; the version of Node.js is in its labels.',
  ),
  nodejs_gc_duration_seconds: histogram(
    'kind',
    'Duration of garbage collections, by kind.',
    'DbGatewayGarbageCollection',
  ),
}
