/** Published ports, on Podman 4. */
import { ports } from '../helpers/podman/cases/ports.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN4 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN4, { 'published ports': ports })
