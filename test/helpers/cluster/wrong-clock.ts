/**
 * For `node --import`: sets the process's clock `FT_CLOCK_OFFSET_MS` ahead.
 *
 * Each SIGUSR2 sets it to the other side, as far behind as it was ahead.
 */
let offset = Number(process.env['FT_CLOCK_OFFSET_MS'])
const { now } = Date

Date.now = () => now() + offset
process.on('SIGUSR2', () => {
  offset = -offset
})
