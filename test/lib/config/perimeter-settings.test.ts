import { describe, expect, it } from 'vitest'
import { readConfig } from '../../../lib/config.ts'

const read = (name: string, value: string) => readConfig({ [name]: value })

describe('a setting of who may ask that is wrong is an error of one line that names it', () => {
  it.each([
    ['TRUSTED_PROXIES', '10.0.0.0/8,proxy', 'TRUSTED_PROXIES: "proxy" is not a CIDR block'],
    ['ADMIN_NETWORKS', '10.0.0.0/33', 'ADMIN_NETWORKS: "10.0.0.0/33" is not a CIDR block'],
    ['PLATFORM_NETWORKS', 'myapp', 'PLATFORM_NETWORKS: "myapp" is not like'],
    ['PLATFORM_NETWORKS', 'a=10.0.0.1=b', 'PLATFORM_NETWORKS: "a=10.0.0.1=b" is not like'],
    ['PLATFORM_NETWORKS', '=10.0.0.1', 'PLATFORM_NETWORKS: "" is not a platform'],
    ['PLATFORM_NETWORKS', 'my app=10.0.0.1', 'PLATFORM_NETWORKS: "my app" is not a platform'],
    ['PLATFORM_NETWORKS', 'a=10.0.0.1;b=', 'PLATFORM_NETWORKS: "b" has no networks'],
    ['PLATFORM_NETWORKS', 'a=10.0.0.1;b=10.0/8', 'PLATFORM_NETWORKS: "10.0/8" is not a CIDR block'],
    ['PLATFORM_NETWORKS', 'a-b=10.0.0.1;A_B=10.0.0.2', 'PLATFORM_NETWORKS: "A_B" is listed twice'],
    ['TLS_CERT_FILE', 'crt', 'TLS_CERT_FILE: needs TLS_KEY_FILE'],
    ['TLS_KEY_FILE', 'key', 'TLS_KEY_FILE: needs TLS_CERT_FILE'],
    ['TLS_CLIENT_CA_FILE', 'ca', 'TLS_CLIENT_CA_FILE: needs TLS_CERT_FILE'],
    // Without the token itself.
    ['ADMIN_TOKEN', 'correct horse', 'ADMIN_TOKEN: has other characters than ASCII, or a space'],
    ['ADMIN_TOKEN', 'schlüssel', 'ADMIN_TOKEN: has other characters than ASCII, or a space'],
  ])('%s=%s', (name, value, message) => {
    let error: Error | undefined
    try {
      read(name, value)
    } catch (caught) {
      error = caught as Error
    }
    expect(error?.message.startsWith(message)).toBe(true)
    expect(error?.message).not.toContain('\n')
    if (name === 'ADMIN_TOKEN') expect(error?.message).not.toContain(value)
  })
})

it('no platform is bound, and ALLOWED_NETWORKS are the administrators’, unless it is said', () => {
  const { adminNetworks, platformNetworks } = readConfig({ PLATFORM_NETWORKS: ' ; ' })
  expect({ adminNetworks, platformNetworks }).toEqual({
    adminNetworks: undefined,
    platformNetworks: undefined,
  })
})
