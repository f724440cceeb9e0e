/** Containers and the gateway, absent and there, on Podman 4. */
import { browsers, gatewayGone } from '../helpers/podman/cases/gateway.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN4 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN4, { 'absent, hung, late': gatewayGone, 'the way in for browsers': browsers })
