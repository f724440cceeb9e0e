/** gateway/dataplane/nebula/log-line: lines of 1.6.1 and 1.11.0, as they were printed. */

import t from 'tap'
import { readLine, withAdvice } from '../../../../../gateway/dataplane/nebula/log-line.ts'

const up = { address: '10.101.0.2', state: 'up' }
const silent = { address: '10.101.0.2', state: 'timed out' }

t.test('a tunnel', (t) => {
  const lines: [line: string, tunnel: object][] = [
    [
      'level=info msg="Handshake message received" certName=h2 durationNs=3979559 handshake="map[stage:2 style:ix_psk0]" udpAddr="192.0.2.2:4242" vpnIp=10.101.0.2',
      up,
    ],
    [
      'level=info msg="Handshake timed out" durationNs=9123515624 handshake="map[stage:1 style:ix_psk0]" udpAddrs="[192.0.2.2:4242]" vpnIp=10.101.0.2',
      silent,
    ],
    [
      'level=INFO msg="Handshake message received" vpnAddrs=[10.101.0.2] from=192.0.2.2:4242 certName=h2 certVersion=2',
      up,
    ],
    [
      'level=INFO msg="Handshake timed out" vpnAddrs=[10.101.0.2] localIndex=25 remoteIndex=0 udpAddrs=[192.0.2.2:4242]',
      silent,
    ],
  ]
  for (const [line, tunnel] of lines) t.match(readLine(line), { isComplaint: false, tunnel }, line)
  t.end()
})

t.test('complaints', (t) => {
  const lines: [line: string, text: string][] = [
    [
      'level=info msg="Invalid certificate from host" cert="NebulaCertificate {\\n\\tDetails {\\n\\t\\tGroups: [\\n\\t\\t\\t\\"flatnet\\"\\n\\t\\t]\\n\\t}\\n}" error="certificate validation failed: could not find ca for the certificate" udpAddr="192.0.2.1:4242"',
      'Invalid certificate from host: certificate validation failed: could not find ca for the certificate',
    ],
    [
      'level=ERROR msg="Failed to process handshake packet" from=192.0.2.1:4242 error="verify cert: could not find ca for the certificate"',
      'Failed to process handshake packet: verify cert: could not find ca for the certificate',
    ],
    [
      'level=error msg="Failed to get a tun/tap device" error="device or resource busy"',
      'Failed to get a tun/tap device: device or resource busy',
    ],
    ['level=warning msg="lighthouse.dns.port"', 'lighthouse.dns.port'],
    ['panic: runtime error', 'panic: runtime error'],
  ]
  for (const [line, text] of lines) t.strictSame(readLine(line), { isComplaint: true, text }, text)
  t.end()
})

t.test('what nobody has to know', (t) => {
  const lines = [
    'level=info msg="Nebula interface is active" build=1.6.1 interface=nbx',
    'level=INFO msg=Goodbye',
    'level=info msg="Handshake message sent" vpnIp=10.101.0.2',
    'level=WARN msg="No lighthouse.hosts configured, this host will only be able to initiate tunnels with static_host_map entries"',
  ]
  for (const line of lines) t.equal(readLine(line), undefined, line)
  t.end()
})

t.test('what to do', (t) => {
  t.match(
    withAdvice('Failed to open udp listener: listen udp [::]:4242: bind: address already in use', 4242),
    /^another program has UDP port 4242: ss -lunp 'sport = :4242' names it; .*paths\.nebula\.port/,
  )
  t.match(
    withAdvice('Invalid certificate from host: … could not find ca for the certificate', 4242),
    /^a host has a certificate of another CA/,
  )
  t.equal(withAdvice('something else', 4242), 'something else')
  t.end()
})
