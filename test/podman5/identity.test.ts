/** What a person may ask for: address, MAC, names, several networks, a pod, on Podman 5. */
import { identity } from '../helpers/podman/cases/identity.ts'
import { onPodman, plugin } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN5, { 'address, MAC, names': identity }, plugin())
