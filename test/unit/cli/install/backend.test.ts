/** cli/install/backend: who installs or joins is told when Podman would not ask Flatnet at all. */
import t from 'tap'
import { printBackend } from '../../../../cli/install/backend.ts'
import { fakeHost } from '../../../helpers/gateway/fake-host.ts'

const ASK = 'podman info --format {{.Host.NetworkBackend}}'

function told(programs: Record<string, string>, files: Record<string, string> = {}): string {
  let text = ''
  const stdout = {
    write(part: string) {
      text += part
    },
  }
  const io = { stdout, stderr: stdout }
  const all =
    Object.keys(programs).length > 0 ? { 'podman --version': 'podman version 4.3.1', ...programs } : {}
  printBackend(io, fakeHost({ programs: all, files }), '/etc/containers')
  return text
}

t.test('netavark: what to do', (t) => {
  t.match(
    told({ [ASK]: 'netavark\n' }),
    /Podman 4.3.1 uses netavark[\s\S]*network_backend = "cni"[\s\S]*--configure-podman/,
  )
  t.end()
})

t.test('CNI, CNI from the next start on, a Podman with netavark plugins, no Podman: nothing', (t) => {
  t.equal(told({ [ASK]: 'netavark\n', 'podman --version': 'podman version 5.4.2' }), '')
  t.equal(told({ [ASK]: 'cni\n' }), '')
  const drop = { '/etc/containers/containers.conf': '[network]\nnetwork_backend = "cni"\n' }
  t.equal(told({ [ASK]: 'netavark\n' }, drop), '')
  t.equal(told({}), '')
  t.end()
})
