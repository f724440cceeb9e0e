/** Twenty containers at once, on Podman 5. */
import { many } from '../helpers/podman/cases/many.ts'
import { onPodman, plugin } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN5, { 'twenty at once': many }, plugin())
