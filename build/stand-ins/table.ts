/** Which file of this folder takes the place of which module, in which executable, and why. */

interface StandIn {
  /** In this folder. */
  readonly file: string
  /** The module that is left out: a file of the repository, or a built-in module by its import specifier. */
  readonly replaces: string
  /** Only where this file imports it; absent: everywhere in the executable. */
  readonly importedBy?: string
  readonly executable: 'flatnet' | 'flatnet-cni'
  readonly why: string
}

/** build/plugins.ts applies it. */
export const STAND_INS: readonly StandIn[] = [
  {
    file: 'packed.ts',
    replaces: 'cli/cli.ts',
    importedBy: 'bin/flatnet.ts',
    executable: 'flatnet',
    why: 'The command line is an asset of its own: a CNI verb does not read yargs, pino and node:http.',
  },
  {
    file: 'packed.ts',
    replaces: 'plugin/verbs.ts',
    importedBy: 'plugin/main.ts',
    executable: 'flatnet',
    why: 'The verbs are an asset with a code cache, which VERSION does not read.',
  },
  {
    file: 'cni-parts.ts',
    replaces: 'plugin/main.ts',
    importedBy: 'bin/flatnet-cni.ts',
    executable: 'flatnet-cni',
    why: 'Each verb has a bundle with one scope: the engine pays for all that it finds in a scope, called or not.',
  },
  {
    file: 'bun-fs.ts',
    replaces: 'node:fs',
    executable: 'flatnet-cni',
    why: "Bun's own takes a millisecond to load, a tenth of an ADD; these calls go to libc.",
  },
  {
    file: 'bun-path.ts',
    replaces: 'node:path',
    executable: 'flatnet-cni',
    why: 'Three functions are used, for paths that conf/netconf.ts has made absolute and plain.',
  },
  {
    file: 'bun-ffi.ts',
    replaces: 'bun:ffi',
    executable: 'flatnet-cni',
    why: 'Only the native half: loading the module, and what else a first `require` sets up, takes half a millisecond.',
  },
]
