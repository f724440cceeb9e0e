/** plugin/netavark/answer.ts: the result and the errors as netavark reads them. */

import t from 'tap'
import { ConfigError, FlatnetError } from '../../../../core/errors.ts'
import { errorAnswer, setupAnswer } from '../../../../plugin/netavark/answer.ts'
import type { CniResult } from '../../../../plugin/result.ts'

const RESULT: CniResult = {
  interfaces: [
    { name: 'flatnet0', mac: '0a:64:0a:64:01:01' },
    // A host end may have the name of a container's interface.
    { name: 'eth0', mac: 'fe:64:0a:64:01:0a' },
    { name: 'eth0', mac: '0a:64:0a:64:01:0a', sandbox: '/run/netns/n' },
  ],
  ips: [{ address: '10.100.1.10/24', gateway: '10.100.1.1', interface: 2 }],
  routes: [],
  dns: {},
}

t.test('the container’s interface with its true MAC, address and gateway', async (t) => {
  t.strictSame(setupAnswer(RESULT, 'eth0'), {
    dns_search_domains: [],
    dns_server_ips: [],
    interfaces: {
      eth0: {
        mac_address: '0a:64:0a:64:01:0a',
        subnets: [{ ipnet: '10.100.1.10/24', gateway: '10.100.1.1' }],
      },
    },
  })
})

t.test('DNS of the attachment', async (t) => {
  const dns = { nameservers: ['10.100.1.1'], search: ['flatnet.internal'], options: ['ndots:1'] }
  t.match(setupAnswer({ ...RESULT, dns }, 'eth0'), {
    dns_search_domains: ['flatnet.internal'],
    dns_server_ips: ['10.100.1.1'],
  })
})

t.test('an error is one key, with details and causes, in the words of netavark', async (t) => {
  const cause = new Error('ENOSPC')
  for (const [err, text] of [
    [
      new FlatnetError('ERR_FLATNET_STORE', 'no space', { details: 'free some', cause }),
      'no space: free some: ENOSPC',
    ],
    [new Error('plain'), 'plain'],
    [new ConfigError(['CNI_IFNAME is "a/b": no']), 'interface_name is "a/b": no'],
    [new ConfigError(['runtimeConfig.ips has "x"']), 'static_ips has "x"'],
    [new ConfigError(['runtimeConfig.mac is "x"']), 'static_mac is "x"'],
    [
      new ConfigError(['runtimeConfig.portMappings[7].hostPort is 65536']),
      'port_mappings.host_port is 65536',
    ],
    [
      new FlatnetError('ERR_FLATNET_ENV', 'required env variables [CNI_CONTAINERID,CNI_IFNAME] missing'),
      'required keys [container_id,interface_name] missing',
    ],
  ] as const)
    t.strictSame(errorAnswer(err), { error: text })
})
