import { defineHandler } from 'h3'
import { readQuery } from '../../lib/http/body/page-query.ts'

export default defineHandler({
  meta: {
    access: 'admin',
    description:
      'List the platforms that the client address may name, with their numbers of databases',
    answer: { platforms: [{ name: 'clinic', schemas: 1, databases: 2 }], count: 1 },
  },
  async handler(event) {
    const { gateway, request } = event.context
    readQuery(event, [])
    const all = await gateway.platforms.list()
    const platforms = all.filter(({ name }) => request.mayName?.(name) ?? true)
    return { platforms, count: platforms.length }
  },
})
