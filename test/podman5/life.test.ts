/** A container's life, on Podman 5. */
import { life } from '../helpers/podman/cases/life.ts'
import { onPodman, plugin } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN5, { 'stop, start, connect, reload': life }, plugin())
