/** Doctor's list of checks: each file or folder of cli/doctor is in it once, under its own name. */
import { readdirSync } from 'node:fs'
import t from 'tap'
import { hostCheck, warn } from '../../../../cli/doctor/check.ts'
import { CHECKS } from '../../../../cli/doctor/checks.ts'

t.test('every check is listed', async (t) => {
  const files = readdirSync('cli/doctor').map((name) => name.replace(/\.ts$/, ''))
  const shared = ['check', 'checks', 'plugin']
  const checks = files.filter((name) => !shared.includes(name))
  t.same(CHECKS.map(({ name }) => name).sort(), checks.sort())
})

t.test('a check that only root may make says so, and other errors are not hidden', async (t) => {
  const subject = {} as Parameters<(typeof CHECKS)[number]['run']>[0]
  const denied = warn('x', 'closed', 'nothing can be said', 'run this as root')
  const failing = (code: string, needsRoot?: (typeof denied)[]) =>
    hostCheck({
      name: 'x',
      ...(needsRoot && { needsRoot }),
      gather: () => Promise.reject(Object.assign(new Error(code), { code })),
      judge: () => [],
    }).run(subject)
  t.same(await failing('EACCES', [denied]), [denied])
  await t.rejects(failing('EIO', [denied]), { code: 'EIO' })
  await t.rejects(failing('EACCES'), { code: 'EACCES' })
})
