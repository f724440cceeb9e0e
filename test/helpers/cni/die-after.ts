/**
 * For `node --import`: the process is killed right after its nth file was put in place (`FT_DIE_AFTER`), as by a power
 * cut.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const at = Number(process.env['FT_DIE_AFTER'])
const { renameSync } = fs
let renamed = 0

fs.renameSync = (from, to) => {
  renameSync(from, to)
  if (++renamed === at) process.kill(process.pid, 'SIGKILL')
}
syncBuiltinESMExports()
