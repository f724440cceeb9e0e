/** Elements as nft reads them: every set that outlives a change of the ruleset's version. */
import { concat, port, prefixElements } from 'netlink-ts/netfilter/keys.ts'
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

t.test('nothing gives nothing, and no text ends its quotes', async (t) => {
  t.same(text('ports'), [])
  t.same(text('bridges', { key: ifnameKey('br"0'), comment: 'v4 " } ; \n flush ruleset' }), [
    'bridges { "br0" comment "v4  } ;  flush ruleset" }',
  ])
})

t.test('a load for a kernel without nftables for bridges', async (t) => {
  const heads = ['delete table inet flatnet', 'create table inet flatnet', 'create table bridge flatnet']
  const whole = [...heads, nftTemplate(), 'add element inet flatnet refused_ports { 7443 }'].join('\n')
  t.match(whole, /^table bridge flatnet \{$/m)
  const load = withoutBridge(whole)
  t.notMatch(load, /table bridge/)
  t.match(load, /^table inet flatnet \{\n\tset without_bridge \{/m, 'it says so')
  t.match(load, /^delete table inet flatnet\ncreate table inet flatnet\n/)
  t.match(load, /\nadd element inet flatnet refused_ports \{ 7443 \}$/)
  const braces = (text: string, brace: string) => text.split(brace).length
  t.equal(braces(load, '{'), braces(load, '}'))
  t.equal(withoutBridge(load), load)
})
