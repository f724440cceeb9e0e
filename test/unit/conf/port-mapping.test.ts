/** conf/port-mapping: the router is asked unless a person says otherwise, by the protocols that are named. */
import t from 'tap'
import { parseDaemonConf } from '../../../conf/daemon.ts'

const of = (portMapping: string) =>
  parseDaemonConf(`{ hostId: 1, paths: { portMapping: ${portMapping} } }`).paths.portMapping

t.test('defaults', async (t) => {
  t.same(of('{}'), { enabled: true, protocols: ['pcp', 'nat-pmp', 'upnp'] })
  t.same(parseDaemonConf('{ hostId: 1 }').paths.portMapping, of('{}'))
})

t.test('values', async (t) => {
  t.same(of('{ enabled: false }'), { enabled: false, protocols: ['pcp', 'nat-pmp', 'upnp'] })
  t.same(of('{ protocols: [upnp, pcp, upnp] }'), { enabled: true, protocols: ['upnp', 'pcp'] })
})

t.test('what is wrong is named, with what is allowed', async (t) => {
  for (const [text, problem] of [
    [
      '{ protocols: [udp] }',
      /paths\.portMapping\.protocols is \["udp"\]: must be a list of pcp, nat-pmp, upnp/,
    ],
    ['{ protocols: [] }', /paths\.portMapping\.protocols is \[\]: must be a list of pcp, nat-pmp, upnp/],
    ['{ enabled: 1 }', /paths\.portMapping\.enabled is 1: must be true or false/],
    ['{ enable: true }', /paths\.portMapping\.enable is true: no such key; did you mean enabled\?/],
    ['true', /paths\.portMapping is true: must be an object/],
  ] as const)
    t.throws(() => of(text), { message: problem }, text)
})
