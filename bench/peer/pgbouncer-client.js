// The calls of the benchmark of many tenants through PgBouncer, with pg: to each database as many
// connections as there are calls at once, kept open, as an application's pool would have them.
import pg from 'pg'

// Without json_agg and all that the gateway does to rows: what an application would send.
const TEXT = 'select * from get_item($1)'

export function openDatabase(port, database) {
  const free = []

  async function connect() {
    // PgBouncer is asked without a password: what its clients' logins cost is left out.
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'gateway', database })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  return {
    async open() {
      free.push(await connect())
    },
    async call(id) {
      const client = free.pop() ?? (await connect())
      const { rows } = await client.query(TEXT, [id])
      free.push(client)
      return rows[0]?.id
    },
  }
}
