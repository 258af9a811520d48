/** Addresses of a node: where it listens, and where the others and the gateway reach it. */
export interface Addresses {
  postgres: { listen: string; connect: string }
  rest: { listen: string; connect: string }
  etcd: string
}

/** Seconds. The times of docs/patroni.md, except that a test has no time for a TTL of 30 s. */
export const TIMES = { ttl: 10, loop_wait: 2, retry_timeout: 3 }

export const SUPERUSER = { username: 'postgres', password: 'superuser-of-the-test' }
const REPLICATION = { username: 'replicator', password: 'replicator-of-the-test' }

/** The configuration of a node: that of docs/patroni.md, with the addresses and times of the test. */
export function configOf(name: string, addresses: Addresses, binaries: string, home: string) {
  return {
    scope: 'faults',
    name,
    restapi: { listen: addresses.rest.listen, connect_address: addresses.rest.connect },
    // Without discovery, which would find the way past the proxy.
    etcd3: { hosts: addresses.etcd, use_proxies: true },
    bootstrap: {
      dcs: {
        ...TIMES,
        maximum_lag_on_failover: 1_048_576,
        synchronous_mode: true,
        primary_start_timeout: 0,
        primary_stop_timeout: 10,
        postgresql: {
          use_pg_rewind: true,
          use_slots: true,
          parameters: {
            wal_level: 'replica',
            hot_standby: 'on',
            max_connections: 100,
            max_wal_senders: 10,
            max_replication_slots: 10,
            wal_log_hints: 'on',
            wal_keep_size: '128MB',
          },
        },
      },
      initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }, 'data-checksums'],
    },
    postgresql: {
      listen: addresses.postgres.listen,
      connect_address: addresses.postgres.connect,
      data_dir: `${home}/data`,
      bin_dir: binaries,
      pgpass: `${home}/pgpass`,
      authentication: { superuser: SUPERUSER, replication: REPLICATION, rewind: SUPERUSER },
      pg_hba: [
        'host all all 127.0.0.0/8 scram-sha-256',
        'host replication replicator 127.0.0.0/8 scram-sha-256',
      ],
      // Commits reach the kernel, which outlives the processes that are killed here.
      parameters: {
        unix_socket_directories: home,
        fsync: 'off',
        log_line_prefix: '%m [%p] %q%u@%d ',
      },
    },
    tags: { nofailover: false, noloadbalance: false, clonefrom: false, nosync: false },
  }
}
