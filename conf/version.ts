/**
 * The version of this program, from package.json.
 *
 * build/plugins.ts puts the file's text in the place of the call.
 */

import { readFileSync } from 'node:fs'

const embedText = (file: string): string => readFileSync(new URL(file, import.meta.url), 'utf8')

export const version = (): string => JSON.parse(embedText('../package.json')).version
