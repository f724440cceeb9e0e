/** Containers and the gateway, absent and there, on Podman 5. */
import { browsers, gatewayGone } from '../helpers/podman/cases/gateway.ts'
import { onPodman, plugin } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN5, { 'absent, hung, late': gatewayGone, 'the way in for browsers': browsers }, plugin())
