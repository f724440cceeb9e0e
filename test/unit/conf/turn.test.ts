/** conf/turn: what paths.turn may hold, and that no problem shows a password. */
import t from 'tap'
import { parseDaemonConf } from '../../../conf/daemon.ts'
import { ConfigError } from '../../../core/errors.ts'

const parse = (turn: unknown) =>
  parseDaemonConf(`{ hostId: 1, paths: { turn: ${JSON.stringify(turn)} } }`).paths.turn

t.test('both ways of coturn, with files or without', async (t) => {
  const good = [
    { server: 'turn.example:3478', username: 'flatnet', password: 'open sesame' },
    { server: '192.0.2.1:3478', username: 'flatnet', passwordFile: '/etc/flatnet/turn' },
    { server: '[2001:db8::1]:3478', secret: 'north', transport: 'udp' },
    { server: '192.0.2.2:3478', username: 'h1', secretFile: '/etc/flatnet/turn' },
  ]
  t.same(
    parse(good),
    good.map(({ server, username = '', ...login }) => {
      const { transport: _, ...rest } = { transport: undefined, ...login }
      return { server, username, ...rest }
    }),
  )
  t.same(parseDaemonConf('{ hostId: 1 }').paths.turn, [])
})

for (const [given, server] of [
  ['turn:turn.example:3478?transport=udp', 'turn.example:3478'],
  ['turn:turn.example:3478', 'turn.example:3478'],
  ['TURN:turn.example?transport=UDP', 'turn.example:3478'],
  ['turn:[2001:db8::1]', '[2001:db8::1]:3478'],
  ['turn:[2001:db8::1]:5000', '[2001:db8::1]:5000'],
  ['turn:192.0.2.1', '192.0.2.1:3478'],
  // A host may be called so.
  ['turn:3478', 'turn:3478'],
  ['turns:5349', 'turns:5349'],
] as const)
  t.test(`${given} is ${server}`, async (t) => {
    t.match(parse([{ server: given, secret: 'north' }]), [{ server }])
  })

const server = 'turn.example:3478'
const SECRET = 'hunter2'
for (const [name, turn, problem] of [
  ['no list', { server, secret: SECRET }, /paths\.turn is .*at most 4 servers/],
  ['five servers', Array(5).fill({ server, secret: SECRET }), /at most 4 servers/],
  ['one twice', Array(2).fill({ server, secret: SECRET }), /once/],
  ['no login', [{ server, username: 'a' }], /paths\.turn\[0\]\.password .*exactly one of/],
  ['two logins', [{ server, username: 'a', password: SECRET, secret: SECRET }], /exactly one of/],
  ['no name', [{ server, password: SECRET }], /paths\.turn\[0\]\.username is missing/],
  ['a key that is written wrongly', [{ server, username: 'a', pasword: SECRET }], /did you mean password/],
  [
    'TCP',
    [{ server, secret: SECRET, transport: 'tcp' }],
    /^paths\.turn\[0\]\.transport is "tcp": must be udp.*UDP alone; name the UDP port.*by TLS between gateways$/,
  ],
  [
    'a URL of TCP',
    [{ server: `turn:${server}?transport=tcp`, secret: SECRET }],
    /^paths\.turn\[0\]\.server is "turn:turn.example:3478\?transport=tcp": must be reached over UDP.*name the UDP port[^\n]*$/,
  ],
  [
    'a URL of TLS',
    [{ server: 'turns:turn.example:5349?transport=tcp', secret: SECRET }],
    /^paths\.turn\[0\]\.server is "turns:turn.example:5349[^\n]*must be reached over UDP[^\n]*$/,
  ],
  ['DTLS', [{ server: 'turns:turn.example', secret: SECRET }], /must be reached over UDP/],
  ['a URL of STUN', [{ server: 'stun:turn.example:3478', secret: SECRET }], /must be a name or an address/],
  ['another parameter', [{ server: `${server}?x=udp`, secret: SECRET }], /must be a name or an address/],
  [
    'a login in the URL',
    [{ server: `turn:a:${SECRET}@${server}`, secret: SECRET }],
    /server is "\(not shown\)"/,
  ],
  [
    'the keys of WebRTC',
    [{ urls: `turn:${server}`, username: 'a', credential: SECRET }],
    /urls .*did you mean server/,
  ],
  ['no port', [{ server: 'turn.example', secret: SECRET }], /paths\.turn\[0\]\.server is "turn.example"/],
  ['a relative file', [{ server, secretFile: 'turn' }], /absolute path/],
  ['a name with a colon', [{ server, username: 'a:b', secret: SECRET }], /colon/],
  ['letters beyond ASCII', [{ server, username: 'a', password: `${SECRET}ä` }], /printable ASCII/],
  ['no objects', [SECRET], /exactly one of/],
] as const)
  t.test(`${name} is refused, by key, and no secret is shown`, async (t) => {
    try {
      parse(turn)
      t.fail('it was taken')
    } catch (err) {
      const problems = err instanceof ConfigError ? err.problems.join('\n') : String(err)
      t.match(problems, problem)
      t.notMatch(problems, /hunter2/)
    }
  })

t.test('a section in the wrong place shows no password either', async (t) => {
  const wrong = '{ hostId: 1, turn: [{ server: "t:1", password: "hunter2" }] }'
  try {
    parseDaemonConf(wrong)
    t.fail('it was taken')
  } catch (err) {
    t.notMatch(String(err) + JSON.stringify(err), /hunter2/)
  }
})
