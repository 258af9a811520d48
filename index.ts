// What the package offers to programs: a gateway that runs in their own process.
export { type Config, ConfigError, readConfig, readEnvironment } from './lib/config.ts'
export { GatewayError } from './lib/errors.ts'
export { createLog, type Log } from './lib/log.ts'
export { type RunningGateway, type StartOptions, startGateway } from './lib/start.ts'
