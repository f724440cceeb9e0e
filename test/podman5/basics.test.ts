/** What a person sees first, on Podman 5. */
import { basics } from '../helpers/podman/cases/basics.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN5, { 'the first container': basics })
