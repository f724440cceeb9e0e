/** What a person may ask for: address, MAC, names, several networks, a pod, on Podman 4. */
import { identity } from '../helpers/podman/cases/identity.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN4 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN4, { 'address, MAC, names': identity })
