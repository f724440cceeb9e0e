/**
 * One runner over every codec of the package and its golden bytes: meaning, bytes, truncation, damage, unknown
 * attributes.
 */
import { readdirSync } from 'node:fs'
import fc from 'fast-check'
import { type AnyCodec, decode, encode } from 'netlink-ts/codec.ts'
import { DecodeError } from 'netlink-ts/errors.ts'
import t, { type Test } from 'tap'
import type { Vector } from '../../helpers/kernel/netlink-hex.ts'
import { netfilterVectors } from '../../helpers/kernel/netlink-vectors-netfilter.ts'
import { routeVectors } from '../../helpers/kernel/netlink-vectors-route.ts'

const vectors = [...routeVectors, ...netfilterVectors]

const ROOT = new URL('../../../netlink-ts/', import.meta.url)
/** The combinators themselves and what is written with them for one attribute; codec.test.ts has those. */
const NOT_MESSAGES = new Set(['codec.ts', 'attrs.ts'])

const isCodec = (value: unknown): value is AnyCodec =>
  typeof value === 'object' && value !== null && 'encode' in value && 'decode' in value && 'name' in value

async function exportedCodecs(): Promise<Map<AnyCodec, string>> {
  const found = new Map<AnyCodec, string>()
  const files = ['', 'route/', 'netfilter/'].flatMap((folder) =>
    readdirSync(new URL(folder, ROOT))
      .filter((file) => file.endsWith('.ts') && !NOT_MESSAGES.has(file) && !file.startsWith('libc.bun'))
      .map((file) => folder + file),
  )
  for (const file of files) {
    const exported: Record<string, unknown> = await import(new URL(file, ROOT).href)
    for (const [name, value] of Object.entries(exported))
      if (isCodec(value)) found.set(value, `${file} ${name}`)
  }
  return found
}

t.test('every exported codec has golden bytes', async (t) => {
  const codecs = await exportedCodecs()
  t.ok(codecs.size >= 12, `found ${codecs.size}`)
  for (const v of vectors) codecs.delete(v.codec)
  t.same([...codecs.values()], [])
})

/** Decodes; anything but a value or DecodeError fails the test. @returns undefined for DecodeError */
function decodeDamaged(codec: AnyCodec, bytes: Uint8Array): { value: unknown } | undefined {
  try {
    return { value: decode(codec, bytes) }
  } catch (err) {
    if (err instanceof DecodeError) return undefined
    throw err
  }
}

function checkVector(t: Test, v: Vector) {
  const decoded = decode(v.codec, v.bytes)
  if (v.partial) t.match(decoded, v.value as object, 'decodes')
  else t.strictSame(decoded, v.value, 'decodes')
  const encoded = encode(v.codec, decoded)
  if (v.inexact === undefined) t.equal(encoded.toHex(), v.bytes.toHex(), 'encodes to the same bytes')
  else t.strictSame(decode(v.codec, encoded), decoded, `encodes to the same meaning: ${v.inexact}`)
}

for (const v of vectors)
  t.test(v.name, async (t) => {
    checkVector(t, v)

    for (let length = 0; length < v.bytes.length; length++)
      decodeDamaged(v.codec, v.bytes.subarray(0, length))

    fc.assert(
      fc.property(
        fc.array(fc.record({ at: fc.nat(v.bytes.length - 1), bit: fc.nat(7) }), {
          minLength: 1,
          maxLength: 4,
        }),
        (flips) => {
          const bytes = v.bytes.slice()
          for (const { at, bit } of flips) bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
          const survivor = decodeDamaged(v.codec, bytes)
          if (survivor !== undefined) encode(v.codec, survivor.value)
        },
      ),
      { numRuns: 300 },
    )

    if (v.codec.size === undefined) {
      const extra = Uint8Array.of(7, 0, 0xfe, 0x3f, 1, 2, 3, 0)
      const padded = new Uint8Array(((v.bytes.length + 3) & ~3) + extra.length)
      padded.set(v.bytes)
      padded.set(extra, padded.length - extra.length)
      const value = decode<unknown>(v.codec, padded)
      t.ok(
        encode(v.codec, value).toHex().endsWith(extra.toHex()),
        'an unknown attribute is kept and comes last',
      )
    }
  })
