/** Twenty containers at once, on Podman 4. */
import { many } from '../helpers/podman/cases/many.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN4 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN4, { 'twenty at once': many })
