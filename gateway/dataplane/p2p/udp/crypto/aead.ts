/** Seals and opens in place, in the wire's two forms, with counter and tag where the wire has them. */
import { type Arena, putAddress, type Region } from '../../../../../kernel/arena.ts'
import type { Evp } from '../../../../../kernel/evp.node.ts'
import { COUNTER, TAG } from '../wire/datagram.ts'
import type { Cipher, FormKey } from './key-schedule.ts'

/** openssl/evp.h: EVP_CTRL_AEAD_GET_TAG, _SET_TAG, EVP_CTRL_GCM_SET_IV_FIXED. */
const GET_TAG = 0x10
const SET_TAG = 0x11
const SET_IV_FIXED = 0x12
const ALL_OF_IV = -1
/** TLS 1.2's additional data: 8 bytes sequence, type, version, and the length of the text in the last two. */
const AAD = 13
const SALT = 4
const U32 = 2 ** 32

const IV_AT = 0
const LENGTH_AT = 16
const FINAL_AT = 32
const AAD_AT = 96
const KEY_AT = 128
const KEY_BYTES = 32
const PARAMS_AT = KEY_AT + KEY_BYTES
/**
 * openssl/core.h, OSSL_PARAM: name, type u32, data, its length, the length returned; one without a name ends a list.
 */
const PARAM = 40
const PARAM_OCTETS = 5
const NAME_AT = PARAMS_AT + 2 * PARAM
/** openssl/core_names.h: additional data as TLS 1.2 has it. */
const TLS_AAD = Buffer.from('tlsaad\0')
const PARAMS_END = NAME_AT + TLS_AAD.byteLength

/** OpenSSL's functions for one thread, and scratch memory that every call reuses. */
export class Aead {
  readonly evp: Evp
  readonly #scratch: Region
  readonly iv: bigint
  readonly length: bigint
  readonly final: bigint
  readonly aad: bigint
  /**
   * A list that gives a context `aad`. EVP_CIPHER_CTX_ctrl makes such a list too, and asks for the tag's length with
   * another: sealing and opening a record took 1,540 ns, now 1,120.
   */
  readonly aadParams: bigint
  /** Whether to use OpenSSL's record form of AES-GCM: the same bytes by two calls instead of five. */
  readonly hasRecord: boolean

  constructor(arena: Arena, evp: Evp, hasRecord: boolean) {
    this.evp = evp
    this.hasRecord = hasRecord
    this.#scratch = arena.take(PARAMS_END)
    this.iv = this.#scratch.address(IV_AT, 16)
    this.length = this.#scratch.address(LENGTH_AT, 4)
    this.final = this.#scratch.address(FINAL_AT, 64)
    this.aad = this.#scratch.address(AAD_AT, AAD)
    this.aadParams = this.#writeParams()
  }

  #writeParams(): bigint {
    const { bytes, view } = this.#scratch
    bytes.set(TLS_AAD, NAME_AT)
    putAddress(view, PARAMS_AT, this.#scratch.addressNumber(NAME_AT, TLS_AAD.byteLength))
    view.setUint32(PARAMS_AT + 8, PARAM_OCTETS, true)
    putAddress(view, PARAMS_AT + 16, this.#scratch.addressNumber(AAD_AT, AAD))
    view.setUint32(PARAMS_AT + 24, AAD, true)
    return this.#scratch.address(PARAMS_AT, 2 * PARAM)
  }

  cipherOf(cipher: Cipher): bigint {
    return cipher === 'aes-256-gcm' ? this.evp.EVP_aes_256_gcm() : this.evp.EVP_chacha20_poly1305()
  }

  /** @returns a context with its key set, which the caller has to free */
  context(cipher: Cipher, key: Uint8Array, isSealing: boolean): bigint {
    const { evp } = this
    const context = evp.EVP_CIPHER_CTX_new()
    this.#scratch.bytes.set(key, KEY_AT)
    const at = this.#scratch.address(KEY_AT, KEY_BYTES)
    const init = isSealing ? evp.EVP_EncryptInit_ex : evp.EVP_DecryptInit_ex
    const result = context === 0n ? 0 : init(context, this.cipherOf(cipher), 0n, at, 0n)
    this.#scratch.bytes.fill(0, KEY_AT, KEY_AT + KEY_BYTES)
    if (result !== 1) throw new Error(`OpenSSL refuses a context of ${cipher}`)
    return context
  }

  /** Sets the nonce of the next call: salt, then the counter as on the wire. */
  setNonce(salt: Uint8Array, high: number, low: number): void {
    const { bytes, view } = this.#scratch
    bytes.set(salt, IV_AT)
    view.setUint32(IV_AT + SALT, high)
    view.setUint32(IV_AT + SALT + 4, low)
  }

  /** Sets the nonce from which OpenSSL then counts by itself. */
  setFirstNonce(context: bigint, salt: Uint8Array): void {
    this.setNonce(salt, 0, 0)
    if (this.evp.EVP_CIPHER_CTX_ctrl(context, SET_IV_FIXED, ALL_OF_IV, this.iv) !== 1)
      throw new Error('OpenSSL refuses a nonce for the record form')
  }

  /**
   * Sets the additional data of a record: the datagram's header, three zeroes, and a length.
   * @param length as the call wants it: of the text, or more where OpenSSL subtracts the rest again
   */
  setAad(header: Region, at: number, length: number): void {
    const { bytes, view } = this.#scratch
    view.setUint32(AAD_AT, header.view.getUint32(at))
    view.setUint32(AAD_AT + 4, header.view.getUint32(at + 4))
    bytes[AAD_AT + 8] = 0
    bytes[AAD_AT + 9] = 0
    bytes[AAD_AT + 10] = 0
    view.setUint16(AAD_AT + 11, length)
  }
}

abstract class Keyed {
  protected readonly aead: Aead
  protected readonly context: bigint
  readonly #salt: Uint8Array
  #isFreed = false

  constructor(aead: Aead, cipher: Cipher, { key, salt }: FormKey, isSealing: boolean) {
    if (key.byteLength !== KEY_BYTES || salt.byteLength !== SALT)
      throw new RangeError('key of 32 and salt of 4 bytes')
    this.aead = aead
    this.context = aead.context(cipher, key, isSealing)
    this.#salt = salt
  }

  protected setNonce(high: number, low: number): void {
    if (this.#isFreed) throw new Error('a key that has been freed')
    this.aead.setNonce(this.#salt, high, low)
  }

  free(): void {
    if (this.#isFreed) return
    this.#isFreed = true
    this.aead.evp.EVP_CIPHER_CTX_free(this.context)
  }

  protected fail(): never {
    throw new Error('OpenSSL refuses to seal')
  }
}

/** Seals up to 64 KB with one AEAD. */
export class WholeSealer extends Keyed {
  constructor(aead: Aead, cipher: Cipher, key: FormKey) {
    super(aead, cipher, key, true)
  }

  /** Seals `n` bytes of `text` in place. Counter and tag go to `header` at `headerAt`: 24 bytes. */
  seal(text: Region, at: number, n: number, counter: number, header: Region, headerAt: number): void {
    const { aead, context } = this
    const { evp } = aead
    const high = Math.floor(counter / U32)
    const low = counter >>> 0
    this.setNonce(high, low)
    header.view.setUint32(headerAt, high)
    header.view.setUint32(headerAt + 4, low)
    const p = text.address(at, n)
    const tag = header.address(headerAt + COUNTER, TAG)
    if (evp.EVP_EncryptInit_ex(context, 0n, 0n, 0n, aead.iv) !== 1) this.fail()
    if (evp.EVP_EncryptUpdate(context, p, aead.length, p, n) !== 1) this.fail()
    if (evp.EVP_EncryptFinal_ex(context, aead.final, aead.length) !== 1) this.fail()
    if (evp.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG, tag) !== 1) this.fail()
  }
}

export class WholeOpener extends Keyed {
  constructor(aead: Aead, cipher: Cipher, key: FormKey) {
    super(aead, cipher, key, false)
  }

  /** Opens `counter | tag | text of n bytes` at `at` in place. @returns false: not genuine, and the text is garbage */
  open(message: Region, at: number, n: number): boolean {
    const { aead, context } = this
    const { evp } = aead
    this.setNonce(message.view.getUint32(at), message.view.getUint32(at + 4))
    const p = message.address(at + COUNTER + TAG, n)
    const tag = message.address(at + COUNTER, TAG)
    if (evp.EVP_DecryptInit_ex(context, 0n, 0n, 0n, aead.iv) !== 1) return false
    if (evp.EVP_DecryptUpdate(context, p, aead.length, p, n) !== 1) return false
    if (evp.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG, tag) !== 1) return false
    return evp.EVP_DecryptFinal_ex(context, aead.final, aead.length) === 1
  }
}

/** Seals one datagram as `counter | text | tag` in place, and authenticates its header. */
export class RecordSealer extends Keyed {
  readonly #isTls: boolean
  #next = 0

  constructor(aead: Aead, cipher: Cipher, key: FormKey) {
    super(aead, cipher, key, true)
    this.#isTls = aead.hasRecord && cipher === 'aes-256-gcm'
    if (this.#isTls) aead.setFirstNonce(this.context, key.salt)
  }

  /** Datagrams sealed so far. */
  get sealed(): number {
    return this.#next
  }

  /** @param n bytes of text, which begins 8 bytes after `at` */
  seal(header: Region, headerAt: number, message: Region, at: number, n: number): void {
    const counter = this.#next++
    if (this.#isTls) this.#sealTls(header, headerAt, message, at, n)
    else this.#sealByParts(header, headerAt, message, at, n, counter)
  }

  #sealTls(header: Region, headerAt: number, message: Region, at: number, n: number): void {
    const { aead, context } = this
    // OpenSSL writes the counter by itself and subtracts its 8 bytes from the length.
    aead.setAad(header, headerAt, n + COUNTER)
    const all = n + COUNTER + TAG
    const p = message.address(at, all)
    if (aead.evp.EVP_CIPHER_CTX_set_params(context, aead.aadParams) !== 1) this.fail()
    if (aead.evp.EVP_Cipher(context, p, p, all) !== all) this.fail()
  }

  #sealByParts(
    header: Region,
    headerAt: number,
    message: Region,
    at: number,
    n: number,
    counter: number,
  ): void {
    const { aead, context } = this
    const { evp } = aead
    const high = Math.floor(counter / U32)
    const low = counter >>> 0
    this.setNonce(high, low)
    message.view.setUint32(at, high)
    message.view.setUint32(at + 4, low)
    aead.setAad(header, headerAt, n)
    const p = message.address(at + COUNTER, n)
    const tag = message.address(at + COUNTER + n, TAG)
    if (evp.EVP_EncryptInit_ex(context, 0n, 0n, 0n, aead.iv) !== 1) this.fail()
    if (evp.EVP_EncryptUpdate(context, 0n, aead.length, aead.aad, AAD) !== 1) this.fail()
    if (evp.EVP_EncryptUpdate(context, p, aead.length, p, n) !== 1) this.fail()
    if (evp.EVP_EncryptFinal_ex(context, aead.final, aead.length) !== 1) this.fail()
    if (evp.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG, tag) !== 1) this.fail()
  }
}

export class RecordOpener extends Keyed {
  readonly #isTls: boolean

  constructor(aead: Aead, cipher: Cipher, key: FormKey) {
    super(aead, cipher, key, false)
    this.#isTls = aead.hasRecord && cipher === 'aes-256-gcm'
    if (this.#isTls) aead.setFirstNonce(this.context, key.salt)
  }

  /** @param n bytes of text @returns whether it is genuine */
  open(header: Region, headerAt: number, message: Region, at: number, n: number): boolean {
    return this.#isTls
      ? this.#openTls(header, headerAt, message, at, n)
      : this.#openByParts(header, headerAt, message, at, n)
  }

  #openTls(header: Region, headerAt: number, message: Region, at: number, n: number): boolean {
    const { aead, context } = this
    const all = n + COUNTER + TAG
    aead.setAad(header, headerAt, all)
    const p = message.address(at, all)
    if (aead.evp.EVP_CIPHER_CTX_set_params(context, aead.aadParams) !== 1) return false
    // Not every version returns the length of the text, but all return -1 for a forged tag.
    return aead.evp.EVP_Cipher(context, p, p, all) > 0
  }

  #openByParts(header: Region, headerAt: number, message: Region, at: number, n: number): boolean {
    const { aead, context } = this
    const { evp } = aead
    this.setNonce(message.view.getUint32(at), message.view.getUint32(at + 4))
    aead.setAad(header, headerAt, n)
    const p = message.address(at + COUNTER, n)
    const tag = message.address(at + COUNTER + n, TAG)
    if (evp.EVP_DecryptInit_ex(context, 0n, 0n, 0n, aead.iv) !== 1) return false
    if (evp.EVP_DecryptUpdate(context, 0n, aead.length, aead.aad, AAD) !== 1) return false
    if (evp.EVP_DecryptUpdate(context, p, aead.length, p, n) !== 1) return false
    if (evp.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG, tag) !== 1) return false
    return evp.EVP_DecryptFinal_ex(context, aead.final, aead.length) === 1
  }
}
