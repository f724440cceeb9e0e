/** Ends that were not announced, on Podman 5. */
import { fullOfStale, powerLoss, uncleanStop } from '../helpers/podman/cases/unclean.ts'
import { onPodman, plugin } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

onPodman(
  PODMAN5,
  {
    'unclean stop': uncleanStop,
    'power loss and boot': powerLoss,
    'a slice full of stale leases': fullOfStale,
  },
  plugin(),
)
