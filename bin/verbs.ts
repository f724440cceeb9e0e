/** The bundle of the verbs in the packed executable; packed.ts runs it. */
export { exitNow } from 'netlink-ts/libc.ts'
export { runVerb } from '../plugin/run.ts'
