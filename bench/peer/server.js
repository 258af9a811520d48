// POST /call as a team would write it by hand today: Fastify, a pg.Pool for each database, named
// prepared statements, pino's line for each request. No types, no overloads, no exact numbers.
import Fastify from 'fastify'
import pg from 'pg'

const { PEER_PORT, LOG_LEVEL = 'info' } = process.env
const NAME = /^[a-z_][a-z0-9_]{0,62}$/

const app = Fastify({ logger: { level: LOG_LEVEL } })
const pools = new Map()

function poolOf(database) {
  let pool = pools.get(database)
  if (!pool) {
    // Host, user and password come from PGHOST, PGUSER, PGPASSWORD.
    pool = new pg.Pool({ database, max: 10 })
    pools.set(database, pool)
  }
  return pool
}

app.post('/call', async (request, reply) => {
  const started = performance.now()
  const { platform, tenant_id: tenant, function: name, params = [] } = request.body
  if (!NAME.test(name) || !NAME.test(platform) || (tenant && !NAME.test(tenant))) {
    return reply.code(400).send({ error: 'invalid_request', message: 'bad name' })
  }
  const placeholders = params.map((_, i) => `$${i + 1}`).join(', ')
  const { rows } = await poolOf(`${platform}_${tenant ?? 'main'}`).query({
    name: `${name}/${params.length}`,
    text: `select * from ${name}(${placeholders})`,
    values: params,
  })
  return {
    rows,
    row_count: rows.length,
    execution_time_ms: Math.round(performance.now() - started),
  }
})

app.get('/health', () => ({ status: 'healthy' }))

await app.listen({ host: '127.0.0.1', port: Number(PEER_PORT) })
process.on('SIGTERM', () => process.exit(0))
