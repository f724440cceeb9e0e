/** `flatnet init`: makes a cluster, with this host as its first and the one that admits others. */

import { formatPrefix } from '../../core/addr.ts'
import { createCluster } from '../../gateway/cluster/joining/create.ts'
import { ClusterState } from '../../gateway/cluster/members/state.ts'
import {
  demandConf,
  demandName,
  demandRoot,
  endpointsOf,
  enteringOptions,
  filesOf,
  printStart,
} from '../cluster/entering.ts'
import { command } from '../command.ts'
import { reloadGateway } from '../gateway/reload.ts'
import { refuseMovingLive } from '../host/leases.ts'
import { findPlaces } from '../host/places.ts'
import { printBackend } from '../install/backend.ts'
import { CliError, printLine, UsageError } from '../ui/output.ts'
import { install, prepareInstall } from './install.ts'

export const initCommand = command({
  options: {
    ...enteringOptions,
    'host-id': {
      type: 'number',
      requiresArg: true,
      describe: "This host's number [default: unchanged, else 1]",
    },
    supernet: {
      type: 'string',
      requiresArg: true,
      describe: 'The whole flat network [default: unchanged, else 10.100.0.0/16]',
    },
    'host-prefix': {
      type: 'number',
      requiresArg: true,
      describe: "Size of one host's slice [default: unchanged, else 24]",
    },
    cluster: { type: 'string', requiresArg: true, describe: "The cluster's name [default: a random one]" },
  },
  examples: [
    ['', 'host 1 of a new cluster, installed as flatnet install does'],
    ['--supernet 10.200.0.0/16', 'with other addresses'],
    [
      '--advertise 192.0.2.7:7443',
      'where other hosts reach this one by an address that it does not have itself',
    ],
  ],
  async run(args, { io, host }) {
    demandRoot(host)
    demandName(args.name)
    if (args.cluster !== undefined && !/^[a-z0-9-]{1,63}$/.test(args.cluster)) {
      throw new UsageError(
        `--cluster is "${args.cluster}"`,
        'use lower-case letters, digits and "-", at most 63 of them',
      )
    }
    const before = findPlaces(host, args)
    const files = filesOf(before, args.dataDir)
    if (files.isComplete) {
      const { identity } = new ClusterState(files)
      throw new CliError(
        `this host is in a cluster already: it is host ${identity.hostId} of ${identity.cluster}`,
        'add another host with flatnet token, or take this one out with flatnet leave',
      )
    }
    const installArgs = { ...args, listen: undefined, peersListen: args.listen, dryRun: false }
    const prepared = prepareInstall(installArgs, host)
    const { plan } = prepared
    const now = before.conf && formatPrefix(before.conf.slice)
    if (now !== undefined && now !== plan.slice) {
      await refuseMovingLive(before, `the slice would change from ${now} to ${plan.slice}`)
    }
    install(installArgs, { io, host }, prepared)
    const conf = demandConf(findPlaces(host, args))
    const cluster = await createCluster(filesOf(findPlaces(host, args)), {
      ...conf,
      cluster: args.cluster,
      name: args.name,
      endpoints: endpointsOf(conf),
      now: Date.now(),
    })
    printLine(io, `\nThis is host ${conf.hostId} of cluster ${cluster}; it hands out ${plan.slice}.`)
    printLine(
      io,
      `${files.path('caKeyPem')} admits hosts and revokes them: keep a copy of it in a safe place.`,
    )
    const isRunning = await reloadGateway(
      io,
      findPlaces(host, args),
      (status) => status.cluster?.name === cluster,
    )
    printBackend(io, host, args.containersDir)
    printStart(io, isRunning, args.config)
    printLine(io, 'Add a host:           flatnet token')
    return 0
  },
})
