/**
 * The AEADs of the OpenSSL inside this executable, by `node:ffi` and on memory named by address: a seal of 64 KB takes
 * 7 µs, by `createCipheriv` 19. A distribution's libcrypto must not be loaded instead: two OpenSSLs in one process
 * crash.
 */

import { DynamicLibrary, type FunctionDefinitions } from 'node:ffi'

const U64 = 'u64'
const I32 = 'i32'

// openssl/evp.h of 3.x. Pointers are u64; an int is an int.
const SYMBOLS = {
  EVP_CIPHER_CTX_new: { arguments: [], return: U64 },
  EVP_CIPHER_CTX_free: { arguments: [U64], return: 'void' },
  EVP_aes_256_gcm: { arguments: [], return: U64 },
  EVP_chacha20_poly1305: { arguments: [], return: U64 },
  EVP_EncryptInit_ex: { arguments: [U64, U64, U64, U64, U64], return: I32 },
  EVP_DecryptInit_ex: { arguments: [U64, U64, U64, U64, U64], return: I32 },
  EVP_EncryptUpdate: { arguments: [U64, U64, U64, U64, I32], return: I32 },
  EVP_DecryptUpdate: { arguments: [U64, U64, U64, U64, I32], return: I32 },
  EVP_EncryptFinal_ex: { arguments: [U64, U64, U64], return: I32 },
  EVP_DecryptFinal_ex: { arguments: [U64, U64, U64], return: I32 },
  EVP_CIPHER_CTX_set_params: { arguments: [U64, U64], return: I32 },
  EVP_CIPHER_CTX_ctrl: { arguments: [U64, I32, I32, U64], return: I32 },
  EVP_Cipher: { arguments: [U64, U64, U64, 'u32'], return: I32 },
} as const satisfies FunctionDefinitions

/** The functions as they are: contexts and memory by address, int results as OpenSSL has them. */
export type Evp = ReturnType<typeof functions>

const functions = () => new DynamicLibrary(null).getFunctions(SYMBOLS)

/**
 * @returns the functions, or why there are none: a Node that was built without its OpenSSL's symbols, or against a
 *   shared one
 */
export function loadEvp(): Evp | { readonly problem: string } {
  try {
    return functions()
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    return { problem: `this executable does not export OpenSSL (${why}): use the released flatnet` }
  }
}
