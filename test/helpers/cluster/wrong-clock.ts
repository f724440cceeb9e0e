/**
 * For `node --import`: the process believes that it is `FT_CLOCK_OFFSET_MS` later than it is; with each SIGUSR2 its clock
 * is set to the other side, as far behind as it was ahead.
 */
let offset = Number(process.env['FT_CLOCK_OFFSET_MS'])
const { now } = Date

Date.now = () => now() + offset
process.on('SIGUSR2', () => {
  offset = -offset
})
