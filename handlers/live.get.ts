import { defineHandler } from 'h3'

export default defineHandler({
  meta: { access: 'public', description: 'Whether the process answers' },
  handler: () => ({ status: 'live' }),
})
