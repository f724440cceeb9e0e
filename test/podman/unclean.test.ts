/** Ends that were not announced, on Podman 4. */
import { fullOfStale, powerLoss, uncleanStop } from '../helpers/podman/cases/unclean.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN4 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN4, {
  'unclean stop': uncleanStop,
  'power loss and boot': powerLoss,
  'a slice full of stale leases': fullOfStale,
})
