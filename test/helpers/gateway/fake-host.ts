/** A machine as two tables: files, and what programs print. */
import { basename, dirname } from 'node:path'
import type { Host, Ran } from '../../../cli/host/host.ts'

export interface FakeMachine {
  readonly files?: Readonly<Record<string, string>>
  /** Command line -> stdout, or the whole outcome. A program that is no line's first word does not exist. */
  readonly programs?: Readonly<Record<string, string | Ran>>
  readonly uid?: number
}

export function fakeHost({ files = {}, programs = {}, uid = 0 }: FakeMachine): Host {
  return {
    read: (path) => files[path],
    list: (path) =>
      Object.keys(files)
        .filter((file) => dirname(file) === path)
        .map((file) => basename(file))
        .sort(),
    run(command, args) {
      const answer = programs[[command, ...args].join(' ')]
      if (typeof answer === 'string') return { code: 0, stdout: answer, stderr: '' }
      if (answer !== undefined) return answer
      return Object.keys(programs).some((line) => line.split(' ')[0] === command)
        ? { code: 1, stdout: '', stderr: 'unexpected arguments' }
        : undefined
    },
    uid: () => uid,
  }
}
