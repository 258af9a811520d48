import { defineHandler } from 'h3'

export default defineHandler({
  meta: { access: 'public', description: 'Report that the process answers' },
  handler: () => ({ status: 'live' }),
})
