/** gateway/dataplane/nat/port-mapping/igd and xml: what routers send, what liars send, and what is sent to them. */
import fc from 'fast-check'
import t from 'tap'
import {
  addMapping,
  addressIn,
  faultIn,
  getMapping,
  locationIn,
  refusalOf,
  serviceIn,
  soapRequest,
  targetIn,
} from '../../../../../../gateway/dataplane/nat/port-mapping/igd.ts'
import { contentsOf, textOf } from '../../../../../../gateway/dataplane/nat/port-mapping/xml.ts'

const ROUTER = '192.168.1.1'
const BASE = `http://${ROUTER}:5000/rootDesc.xml`
const WAN_IP = 'urn:schemas-upnp-org:service:WANIPConnection:1'

const answer = (location: string): string =>
  ['HTTP/1.1 200 OK', 'CACHE-CONTROL: max-age=120', `LOCATION: ${location}`, 'EXT:', '', ''].join('\r\n')

t.test('an answer to a search leads to the router alone', async (t) => {
  t.equal(locationIn(answer(BASE), ROUTER), BASE)
  t.equal(locationIn(answer(BASE).replaceAll('\r\n', '\n'), ROUTER), BASE, 'with line feeds alone')
  for (const [url, why] of [
    ['http://127.0.0.1:5000/x', 'this host'],
    ['http://169.254.169.254/latest/meta-data/', 'a metadata service'],
    ['http://router.example/x', 'a name'],
    [`http://${ROUTER}@192.0.2.1/x`, 'the router as a user name'],
    [`http://u:p@${ROUTER}/x`, 'a password'],
    [`https://${ROUTER}/x`, 'TLS'],
    [`file://${ROUTER}/etc/passwd`, 'a file'],
    ['nonsense', 'no URL'],
    [`http://${ROUTER}/${'x'.repeat(600)}`, 'a long one'],
  ] as const)
    t.equal(locationIn(answer(url), ROUTER), '', why)
  t.equal(locationIn('NOTIFY * HTTP/1.1\r\nLOCATION: x\r\n\r\n', ROUTER), undefined, 'no answer to a search')
})

const service = (type: string, url: string): string =>
  `<service><serviceType>${type}</serviceType><controlURL>${url}</controlURL><SCPDURL>/x</SCPDURL></service>`
const description = (services: string, urlBase = ''): string =>
  `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0">${urlBase}<device><modelName>A&B <1></modelName>` +
  `<deviceList><device><serviceList>${services}</serviceList></device></deviceList></device></root>`

t.test('the service that maps ports is found in a description', async (t) => {
  const common = service('urn:schemas-upnp-org:service:WANCommonInterfaceConfig:1', '/common')
  const found = serviceIn(description(common + service(WAN_IP, '/ctl/IPConn')), BASE, ROUTER)
  t.same(found, { type: WAN_IP, controlUrl: `http://${ROUTER}:5000/ctl/IPConn` })
  const ppp = 'urn:schemas-upnp-org:service:WANPPPConnection:1'
  t.match(serviceIn(description(service(ppp, 'ctl?a=1&amp;b=2')), BASE, ROUTER), {
    controlUrl: `http://${ROUTER}:5000/ctl?a=1&b=2`,
  })
  const urlBase = `<URLBase>http://${ROUTER}:49152/</URLBase>`
  t.match(serviceIn(description(service(WAN_IP, '/ctl'), urlBase), BASE, ROUTER), {
    controlUrl: `http://${ROUTER}:49152/ctl`,
  })
  t.equal(serviceIn(description(common), BASE, ROUTER), undefined)
})

t.test('a description that names another host is not followed there', async (t) => {
  t.equal(serviceIn(description(service(WAN_IP, 'http://192.168.1.7/admin')), BASE, ROUTER), undefined)
  t.equal(serviceIn(description(service(WAN_IP, '//192.168.1.7/admin')), BASE, ROUTER), undefined)
  const urlBase = '<URLBase>http://127.0.0.1:8080/</URLBase>'
  t.equal(serviceIn(description(service(WAN_IP, '/ctl'), urlBase), BASE, ROUTER), undefined)
  t.equal(serviceIn(description(service(WAN_IP, 'http://[')), BASE, ROUTER), undefined, 'no URL')
})

t.test('orders', async (t) => {
  const mapping = {
    port: 7_443,
    externalPort: 7_444,
    ownAddress: '192.168.1.2',
    lifetimeS: 3_600,
    description: '<&>',
  }
  const { soapAction, body } = soapRequest({ type: WAN_IP, controlUrl: '' }, addMapping(mapping))
  t.equal(soapAction, `"${WAN_IP}#AddPortMapping"`)
  for (const [name, value] of [
    ['NewRemoteHost', ''],
    ['NewExternalPort', '7444'],
    ['NewProtocol', 'UDP'],
    ['NewInternalPort', '7443'],
    ['NewInternalClient', '192.168.1.2'],
    ['NewPortMappingDescription', '<&>'],
    ['NewLeaseDuration', '3600'],
  ] as const)
    t.equal(textOf(body, name), value, name)
})

t.test('answers', async (t) => {
  const wrapped = (inner: string): string => `<s:Envelope><s:Body>${inner}</s:Body></s:Envelope>`
  const address = wrapped('<u:R><NewExternalIPAddress> 203.0.113.5 </NewExternalIPAddress></u:R>')
  t.equal(addressIn(address), '203.0.113.5')
  for (const text of ['', 'localhost', '203.0.113.5:80', '203.0.113.256', '::1'])
    t.equal(addressIn(wrapped(`<NewExternalIPAddress>${text}</NewExternalIPAddress>`)), undefined, text)
  t.equal(faultIn(wrapped('<s:Fault><detail><e:errorCode>718</e:errorCode></detail></s:Fault>')), 718)
  t.equal(faultIn(wrapped('<errorCode>none</errorCode>')), undefined)
  t.same(refusalOf(606), { refused: 'not allowed', isDenied: true })
  t.same(refusalOf(999), { refused: 'error 999', isDenied: true })
  t.same(refusalOf(undefined), { refused: 'nonsense for an answer' })
})

t.test('hostile XML costs no time', async (t) => {
  const began = performance.now()
  for (const xml of ['<service>', '<service', '</service>', '<a:', '<service x="'])
    contentsOf(xml.repeat(65_536 / xml.length), 'service')
  t.ok(performance.now() - began < 1_000, `${Math.round(performance.now() - began)} ms for five of 64 KiB`)
  fc.assert(fc.property(fc.string(), (xml) => void serviceIn(xml, BASE, ROUTER)))
})

t.test('a mapping is asked for by its outer port, and the answer says where it leads', async (t) => {
  const { soapAction, body } = soapRequest({ type: WAN_IP, controlUrl: '' }, getMapping(7_444))
  t.equal(soapAction, `"${WAN_IP}#GetSpecificPortMappingEntry"`)
  t.match(body, /<NewRemoteHost><\/NewRemoteHost><NewExternalPort>7444<.*<NewProtocol>UDP</)
  const answer = `<s:Body><u:R><NewInternalPort>7443</NewInternalPort><NewInternalClient>192.168.1.2</NewInternalClient></u:R></s:Body>`
  t.equal(targetIn(answer), '192.168.1.2:7443')
  t.equal(targetIn('<a/>'), 'undefined:undefined', 'nothing that this host could have')
})
