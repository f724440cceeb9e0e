/** `flatnet ca`: the CA that browsers have to know for `ingress.tls: internal`, in PEM. */

import { X509Certificate } from 'node:crypto'
import { command } from '../command.ts'
import { apiGet } from '../host/client.ts'
import { findGateway, placeOptions } from '../host/places.ts'
import { printJson, printLine } from '../ui/output.ts'

export const caCommand = command({
  options: {
    ...placeOptions,
    json: { type: 'boolean', default: false, describe: 'JSON: the PEM, its fingerprint and its end' },
  },
  examples: [
    ['> flatnet.crt', 'then let each browser trust it, once:'],
    [
      '> /usr/local/share/ca-certificates/flatnet.crt',
      'Debian, with update-ca-certificates: curl and others',
    ],
    [
      '| certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n flatnet',
      'Chromium on Linux, after mkdir -p $HOME/.pki/nssdb; or its settings, Certificates, Authorities',
    ],
    ['> flatnet.crt', 'Firefox: settings, View Certificates, Authorities, Import'],
  ],
  async run({ config, cniConfDir, json }, { io, host }) {
    const places = findGateway(host, { config, cniConfDir })
    const { caPem } = await apiGet<{ caPem: string }>(places, '/v1/cluster/browser-ca')
    const { fingerprint256, subject, validTo } = new X509Certificate(caPem)
    if (json) {
      printJson(io, { caPem, fingerprint: fingerprint256, validTo: new Date(validTo).toISOString() })
      return 0
    }
    printLine(io, caPem.trimEnd())
    io.stderr.write(
      `\n${subject.replace('CN=', '')}, until ${new Date(validTo).toISOString().slice(0, 10)}\n` +
        `SHA-256 ${fingerprint256}\n` +
        'Import it in browsers as an authority for websites. It certifies private names and addresses of this cluster.\n',
    )
    return 0
  },
})
