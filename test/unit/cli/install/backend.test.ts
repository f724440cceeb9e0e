/** cli/install/backend: who installs or joins is told when Podman would not ask Flatnet at all. */
import t from 'tap'
import { tellBackend } from '../../../../cli/install/backend.ts'
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
  tellBackend(io, fakeHost({ programs, files }), '/etc/containers')
  return text
}

t.test('netavark: what to do', (t) => {
  t.match(
    told({ [ASK]: 'netavark\n' }),
    /Podman uses netavark[\s\S]*network_backend = "cni"[\s\S]*--configure-podman/,
  )
  t.end()
})

t.test('CNI, CNI from the next start on, no Podman: nothing', (t) => {
  t.equal(told({ [ASK]: 'cni\n' }), '')
  const drop = { '/etc/containers/containers.conf': '[network]\nnetwork_backend = "cni"\n' }
  t.equal(told({ [ASK]: 'netavark\n' }, drop), '')
  t.equal(told({}), '')
  t.end()
})
