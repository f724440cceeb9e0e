/**
 * gateway/dataplane/nebula/run and credentials: programs that are missing, forbidden or hang, and files that change.
 */

import { chmodSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Credentials } from '../../../../gateway/dataplane/nebula/credentials.ts'
import { nebulaFiles } from '../../../../gateway/dataplane/nebula/overlay.ts'
import { NebulaMissing, runProgram } from '../../../../gateway/dataplane/nebula/run.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

t.test('a program that cannot be run', async (t) => {
  const folder = scratchFolder(t)
  const before = process.env['PATH']
  t.teardown(() => {
    process.env['PATH'] = before
  })
  process.env['PATH'] = folder
  await t.rejects(runProgram('nebula', '-version'), {
    message: 'nebula is not installed; on Debian: apt-get install nebula',
  })
  const file = `${folder}/nebula`
  writeFileSync(file, '#!/bin/sh\necho "Version: 1.6.1"; exit 3\n', { mode: 0o644 })
  await t.rejects(runProgram('nebula', '-version'), {
    message: `${file} may not be executed: chmod 755 ${file}`,
  })
  chmodSync(file, 0o755)
  t.same(await runProgram('nebula', '-version'), { code: 3, output: 'Version: 1.6.1\n' })
  writeFileSync(file, '#!/nowhere/sh\n')
  await t.rejects(runProgram('nebula', '-version'), { message: /^nebula/ })
})

t.test('certificates are judged, and watched', async (t) => {
  const files = nebulaFiles(scratchFolder(t))
  let now = Date.parse('2026-11-29T12:00:00Z')
  const details = { name: 'x', groups: ['flatnet'], notBefore: '2026-11-29T11:00:00Z' }
  const ca = { details: { ...details, notAfter: '2036-11-29T11:00:00Z' }, fingerprint: 'a' }
  const host = {
    details: {
      ...details,
      issuer: 'a',
      ips: ['10.101.0.1/16'],
      subnets: ['10.100.1.0/24'],
      notAfter: '2026-12-29T11:00:00Z',
    },
  }
  const slot = {
    hostId: 1,
    network: { base: 0x0a650000, prefixLen: 16 },
    supernet: { base: 0x0a640000, prefixLen: 16 },
    hostPrefix: 24,
  }
  let isInstalled = true
  const credentials = new Credentials(files, slot, { now: () => now }, async (...args) => {
    if (!isInstalled) throw new NebulaMissing('nebula-cert is not installed')
    return { code: 0, output: JSON.stringify(args.includes(files.caCrt) ? ca : host) }
  })
  for (const file of [files.caCrt, files.hostCrt, files.hostKey]) {
    await t.rejects(credentials.judge(), { message: new RegExp(`^there is no ${file}: flatnet nebula host`) })
    writeFileSync(file, '')
  }
  t.equal(credentials.hasChanged, true)
  await credentials.judge()
  t.strictSame([credentials.hasChanged, credentials.isExpired], [false, false])
  t.equal(new Date(credentials.validTo ?? 0).toISOString(), '2026-12-29T11:00:00.000Z')
  now = Date.parse('2026-12-29T11:00:01Z')
  t.equal(credentials.isExpired, true)
  await t.rejects(credentials.judge(), {
    message: /^host\.crt expired on 2026-12-29 11:00 UTC: flatnet nebula host/,
  })
  writeFileSync(files.hostCrt, 'another')
  t.equal(credentials.hasChanged, true)
  isInstalled = false
  await credentials.judge()
  t.equal(credentials.validTo, undefined, 'Nebula itself judges then')
})
