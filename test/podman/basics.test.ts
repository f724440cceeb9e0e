/** What a person sees first, on Podman 4. */
import { basics } from '../helpers/podman/cases/basics.ts'
import { onPodman } from '../helpers/podman/run.ts'
import { PODMAN4 } from '../helpers/podman/runtime.ts'

onPodman(PODMAN4, { 'the first container': basics })
