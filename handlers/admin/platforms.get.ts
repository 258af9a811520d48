import { defineHandler } from 'h3'
import { askServers } from '../../lib/http/all-servers.ts'
import { readQuery } from '../../lib/http/body/page-query.ts'
import { awayField } from '../../lib/servers/fan-in.ts'
import { joinPlatforms } from '../../lib/tenancy/platforms.ts'

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
    const gathered = await askServers(gateway, {}, (there) => there.platforms.list())
    const platforms = joinPlatforms(gathered.answers.map(({ answer }) => answer)).filter(
      ({ name }) => request.mayName?.(name) ?? true,
    )
    return { platforms, count: platforms.length, ...awayField(gateway.servers, gathered) }
  },
})
