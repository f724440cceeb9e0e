/**
 * Any sequence of verbs, deaths, kills amid a verb, reboots and damage: no address is ever held by two live containers.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { parseIpv4 } from '../../core/addr.ts'
import { attachmentKey } from '../../core/attachment.ts'
import { FlatnetError } from '../../core/errors.ts'
import { refusalOf, type Slice } from '../../ipam/choose/slice.ts'
import { collectStale } from '../../ipam/inventory.ts'
import { activate, find } from '../../ipam/ipam.ts'
import type { LiveFacts } from '../../ipam/stale.ts'
import { killAt } from '../helpers/cni/kill-at.ts'
import { memoryFolder } from '../helpers/run/memory.ts'
import { BLOCK_DAMAGE, blockFiles } from '../helpers/store/damage.ts'
import { FakeHost, slice, slice29 } from '../helpers/store/lease-host.ts'
import { makeOld } from '../helpers/store/old-store.ts'

/** Two blocks with three addresses each, so that sequences soon fill, wrap and cross them. */
const twoBlocks: Slice = {
  ...slice('10.96.0.0/12', 23, 510),
  first: parseIpv4('10.96.2.253')!,
  last: parseIpv4('10.96.3.2')!,
}

type Loss = 'keys' | 'index' | 'index-torn' | 'layout' | 'blocks' | 'all'

type Step =
  | { readonly kind: 'add'; readonly id: string; readonly requested?: number; readonly killedAt?: number }
  | { readonly kind: 'del' | 'kill' | 'repeat'; readonly id: string; readonly killedAt?: number }
  | { readonly kind: 'collect'; readonly killedAt?: number }
  | { readonly kind: 'damage'; readonly how: string }
  | { readonly kind: 'lose'; readonly what: Loss }
  | { readonly kind: 'reboot' }

const ids = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g')
const killedAt = fc.option(fc.integer({ min: 1, max: 25 }), { nil: undefined, freq: 4 })
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record(
      { kind: fc.constant('add' as const), id: ids, requested: fc.nat(8), killedAt },
      { requiredKeys: ['kind', 'id'] },
    ) as fc.Arbitrary<Step>,
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constantFrom('del' as const, 'kill' as const, 'repeat' as const),
      id: ids,
      killedAt,
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('collect' as const), killedAt }) as fc.Arbitrary<Step>,
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('damage' as const),
      how: fc.constantFrom(...Object.keys(BLOCK_DAMAGE)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      what: fc.constantFrom(
        'keys' as const,
        'index' as const,
        'index-torn' as const,
        'layout' as const,
        'blocks' as const,
        'all' as const,
      ),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'reboot' as const }) },
)

class Run {
  readonly host: FakeHost
  readonly hasKernel: boolean
  constructor(host: FakeHost, hasKernel: boolean) {
    this.host = host
    this.hasKernel = hasKernel
  }

  step(step: Step): void {
    this.host.clock.ms += 7_000
    try {
      if ('killedAt' in step && step.killedAt !== undefined) killAt(step.killedAt, () => this.#do(step))
      else this.#do(step)
    } catch (err) {
      const isRefusal =
        err instanceof FlatnetError &&
        [
          'ERR_FLATNET_NO_ADDRESS',
          'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
          'ERR_FLATNET_ATTACHMENT_LIVE',
        ].includes(err.code)
      if (!isRefusal) throw err
    }
  }

  #do(step: Step): void {
    const { host } = this
    switch (step.kind) {
      case 'add':
        this.#add(step.id, step.requested)
        return
      case 'repeat':
        this.#add(step.id, undefined, host.links.get(`flatnet/${step.id}/eth0`)?.netns)
        return
      case 'del':
        host.del(step.id)
        return
      case 'kill':
        host.kill(step.id)
        return
      case 'collect':
        collectStale(host.store(), this.#facts(), host.clock)
        return
      case 'damage':
        for (const path of blockFiles(host.folder)) {
          // A folder in the place of a file can only be damaged once.
          try {
            BLOCK_DAMAGE[step.how]?.(path)
          } catch {}
        }
        return
      case 'lose':
        this.#lose(step.what)
        return
      case 'reboot':
        host.reboot()
        return
    }
  }

  /** Of a delegated attachment the links are another plugin's: nobody can say that it is gone. */
  #facts(): LiveFacts {
    return this.hasKernel ? this.host.facts() : { ...this.host.facts(), isLive: () => true }
  }

  #lose(what: Loss): void {
    const { folder } = this.host
    if (what === 'keys') rmSync(join(folder, 'keys'), { recursive: true, force: true })
    if (what === 'index') rmSync(join(folder, 'index'), { force: true })
    if (what === 'index-torn' && blockFiles(folder).length > 0) writeFileSync(join(folder, 'index'), '{"ver')
    // As if it had been an older release until now.
    if (what === 'layout') makeOld(folder)
    // Without a kernel nothing tells a lost store from a new one.
    if (!this.hasKernel) return
    if (what === 'blocks') for (const path of blockFiles(folder)) rmSync(path, { recursive: true })
    if (what === 'all') rmSync(folder, { recursive: true, force: true })
  }

  #add(id: string, requested?: number, netns?: string): void {
    const { host } = this
    const ip = requested === undefined ? undefined : host.slice.first - 1 + requested
    const isPossible = ip !== undefined && refusalOf(host.slice, ip) === undefined
    const text = ip === undefined ? '' : [ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255].join('.')
    const { lease } = host.acquire(id, {
      ...(isPossible && { requestedIp: text }),
      ...(netns !== undefined && { netns }),
      ...(!this.hasKernel && { inUse: () => true }),
      ...this.#facts(),
    })
    const holder = [...host.links.values()].find((live) => live.ip === lease.ip && live.containerId !== id)
    if (holder !== undefined) throw new Error(`${id} got ${lease.ip}, which ${holder.containerId} has`)
    host.links.set(attachmentKey(lease), lease)
    activate(host.store(), lease)
  }

  /** Every live container can still be found, so that its DEL gives its address back. */
  finish(): void {
    collectStale(this.host.store(), this.#facts(), this.host.clock)
    for (const live of this.host.links.values()) {
      const lease = find(this.host.store(), live)
      // Without a kernel a lease whose block and keys were both lost is known to nobody; its address is kept back.
      if (this.hasKernel && lease?.ip !== live.ip) throw new Error(`${live.containerId} lost ${live.ip}`)
    }
  }
}

for (const [name, of, hasKernel] of [
  ['one block', slice29, true],
  ['two blocks', twoBlocks, true],
  ['one block, delegated', slice29, false],
  ['two blocks, delegated', twoBlocks, false],
] as const) {
  t.test(`no address is held twice: ${name}`, async (t) => {
    fc.assert(
      fc.property(fc.array(steps, { minLength: 5, maxLength: 40, size: 'max' }), (sequence) => {
        const dataDir = mkdtempSync(join(memoryFolder(), 'flatnet-model-'))
        try {
          const run = new Run(new FakeHost(dataDir, of, hasKernel ? {} : { rebuild: () => [] }), hasKernel)
          for (const step of sequence) run.step(step)
          if (run.host.links.size > 0 && hasKernel) run.step({ kind: 'add', id: 'last' })
          run.finish()
        } finally {
          rmSync(dataDir, { recursive: true, force: true })
        }
      }),
      { numRuns: Number(process.env['FLATNET_MODEL_RUNS'] ?? 150) },
    )
    t.pass()
  })
}
