/** Elements as nft reads them: every set that outlives a change of the ruleset's version. */
import { concat, devgroup, port, prefixElements } from 'netlink-ts/netfilter/keys.ts'
import { macBytes } from 'netlink-ts/route/mac.ts'
import t from 'tap'
import { nftTemplate } from '../../../conf/templates.ts'
import { ipv4Bytes, parseIpv4 } from '../../../core/addr.ts'
import { ifnameKey } from '../../../kernel/rules.ts'
import { elementText, withoutBridge } from '../../../kernel/rules-text.ts'

const ip = (text: string): Uint8Array => ipv4Bytes(parseIpv4(text) ?? 0)
const text = (set: string, ...elements: Parameters<typeof elementText>[2]) =>
  elementText('inet flatnet', set, elements).map((line) => line.replace('add element inet flatnet ', ''))

t.test('prefixes become ranges', async (t) => {
  const two = [...prefixElements(ip('10.100.0.0'), 16), ...prefixElements(ip('10.102.0.0'), 16)]
  t.same(text('supernets', ...two), ['supernets { 10.100.0.0-10.100.255.255, 10.102.0.0-10.102.255.255 }'])
  t.same(text('masq', ...prefixElements(ip('255.255.255.0'), 24)), ['masq { 255.255.255.0-255.255.255.255 }'])
})

t.test('names, ports and concatenations, with their comments', async (t) => {
  t.same(text('bridges', { key: ifnameKey('flatnet0'), comment: 'v4 10.100.0.0/16 10.100.1.0/24 masq' }), [
    'bridges { "flatnet0" comment "v4 10.100.0.0/16 10.100.1.0/24 masq" }',
  ])
  t.same(text('refused_ports', { key: port(7443) }, { key: port(80) }), ['refused_ports { 7443, 80 }'])
  const to = concat(ip('10.100.1.10'), port(80))
  t.same(
    text('ports', {
      key: concat(Uint8Array.of(6), ip('192.0.2.1'), port(8080)),
      data: to,
      comment: 'fn1 fn2',
    }),
    ['ports { 6 . 192.0.2.1 . 8080 comment "fn1 fn2" : 10.100.1.10 . 80 }'],
  )
  t.same(text('ports_any', { key: concat(Uint8Array.of(17), port(53)), data: to }), [
    'ports_any { 17 . 53 : 10.100.1.10 . 80 }',
  ])
})

t.test('what may leave the ports of bridges', async (t) => {
  const [low, high] = [ip('10.100.1.10'), ip('192.168.1.10')]
  t.same(text('armed', { key: devgroup(0x0a64010a) }, { key: devgroup(0xc0a8010a) }), [
    'armed { 174326026, 3232235786 }',
  ])
  t.same(
    text(
      'sources',
      { key: concat(devgroup(0x0a64010a), macBytes('0a:64:0a:64:01:0a'), low) },
      {
        key: concat(devgroup(0xc0a8010a), macBytes('02:00:00:00:00:01'), high),
      },
    ),
    [
      'sources { 174326026 . 0a:64:0a:64:01:0a . 10.100.1.10, 3232235786 . 02:00:00:00:00:01 . 192.168.1.10 }',
    ],
  )
})

t.test('nothing gives nothing, and no text ends its quotes', async (t) => {
  t.same(text('ports'), [])
  t.same(text('bridges', { key: ifnameKey('br"0'), comment: 'v4 " } ; \n flush ruleset' }), [
    'bridges { "br0" comment "v4  } ;  flush ruleset" }',
  ])
})

t.test('a load for a kernel without nftables for bridges', async (t) => {
  const heads = ['delete table inet flatnet', 'create table inet flatnet', 'create table bridge flatnet']
  const elements = [
    'add element bridge flatnet armed { 174326026 }',
    'add element inet flatnet refused_ports { 7443 }',
  ]
  const whole = [...heads, nftTemplate(), ...elements].join('\n')
  t.match(whole, /^table bridge flatnet \{$/m)
  const load = withoutBridge(whole)
  t.notMatch(load, /^(?:table|add element) bridge/m)
  t.match(load, /^table inet flatnet \{\n\tset without_bridge \{/m, 'it says so')
  t.match(load, /^delete table inet flatnet\ncreate table inet flatnet\n/)
  t.match(load, /\nadd element inet flatnet refused_ports \{ 7443 \}$/)
  const braces = (text: string, brace: string) => text.split(brace).length
  t.equal(braces(load, '{'), braces(load, '}'))
  t.equal(withoutBridge(load), load)
})
