import { defineHandler } from 'h3'

export default defineHandler({
  meta: {
    access: 'public',
    description: 'Report that the process answers',
    answer: { status: 'live' },
  },
  handler: () => ({ status: 'live' }),
})
