/** For `node --import`: the process believes that it is `FT_CLOCK_OFFSET_MS` later than it is. */
const offset = Number(process.env['FT_CLOCK_OFFSET_MS'])
const { now } = Date

Date.now = () => now() + offset
