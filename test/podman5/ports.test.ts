/** Published ports, on Podman 5. */
import { ports } from '../helpers/podman/cases/ports.ts'
import { onPodman, plugin } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN5, { 'published ports': ports }, plugin())
