/** What a header list of HTTP/2 says in HTTP/1.1. */

import t from 'tap'
import { asHttp1 } from '../../../../../gateway/ingress/tls/http2-messages.ts'

const pseudo = [':method', 'GET', ':path', '/', ':scheme', 'https', ':authority', 'web.x']

t.same(asHttp1([...pseudo, 'accept', '*/*'], false), ['host', 'web.x', 'accept', '*/*'])
t.same(asHttp1([...pseudo, 'host', 'web.x'], false), ['host', 'web.x'], 'both, and they agree')
t.same(asHttp1([...pseudo, 'host', 'b.x'], false), ['host', 'web.x', 'host', 'b.x'], 'refused later')
t.same(asHttp1(['cookie', 'a=1', 'x', 'y', 'cookie', 'b=2'], false), ['x', 'y', 'cookie', 'a=1; b=2'])
t.same(asHttp1(['x', 'y'], true), ['x', 'y', 'transfer-encoding', 'chunked'], 'a body without a length')
t.same(asHttp1(['content-length', '3'], true), ['content-length', '3'])
