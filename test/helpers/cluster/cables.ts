/** A switch in a namespace of its own, and a cable from it to each host. */
import { run } from '../kernel/netns.ts'

interface CabledHost {
  readonly hostId: number
  readonly netns: string
}

/**
 * Makes the namespaces. Host n is 10.0.0.n at `eth0`, and at port `p<n>` of the switch.
 * @param switchNs the namespace of the switch
 */
export function layCables(switchNs: string, hosts: readonly CabledHost[]): void {
  const ip = (line: string) => run('ip', line.split(' '))
  ip(`netns add ${switchNs}`)
  ip(`-n ${switchNs} link add sw up type bridge`)
  for (const { hostId, netns } of hosts) {
    ip(`netns add ${netns}`)
    ip(`-n ${netns} link set lo up`)
    ip(`-n ${netns} link add eth0 type veth peer name p${hostId} netns ${switchNs}`)
    ip(`-n ${netns} addr add 10.0.0.${hostId}/24 dev eth0`)
    ip(`-n ${netns} link set eth0 up`)
    ip(`-n ${switchNs} link set p${hostId} master sw up`)
  }
}
