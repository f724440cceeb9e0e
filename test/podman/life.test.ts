/** A container's life, on Podman 4. */
import { life } from '../helpers/podman/cases/life.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN4 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN4, { 'stop, start, connect, reload': life })
