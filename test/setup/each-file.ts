import { afterAll, afterEach } from 'vitest'
import { cleanUp } from '../helpers/after-test.ts'

// This runs before each file, also where files share their modules.

const environment = { ...process.env }

afterEach(cleanUp)

// A file that changes the environment changes it for itself alone.
afterAll(() => {
  for (const name of Object.keys(process.env)) if (!(name in environment)) delete process.env[name]
  Object.assign(process.env, environment)
})
