/** Draws docs/speed.svg: what a container start costs on each network, as bars. */

import type { Claim, Figure } from './stats.ts'

const WIDTH = 760
const LABEL = 190
const BAR = 18
const GAP = 8
const PANEL_GAP = 34
const HEAD = 30
/** Room for the number after the longest bar. */
const TAIL = 70

const OURS = '#0b7285'
const OTHERS = '#adb5bd'
const INK = '#212529'
const FADED = '#6c757d'

interface Panel {
  readonly title: string
  readonly bars: readonly Figure[]
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

function panelsOf(claims: readonly Claim[]): Panel[] {
  const by = (start: string, names: readonly string[], title: string): Panel[] => {
    const figures = claims.find((claim) => claim.title.startsWith(start))?.figures ?? []
    const bars = names.flatMap((name) => figures.filter((f) => f.name === name))
    return bars.length === 0 ? [] : [{ title, bars }]
  }
  const plugins = ['flatnet-cni', 'flatnet', 'bridge', 'bridge+ipMasq', "Podman's chain", 'netavark']
  return [
    ...by('ADD, whole', plugins, 'Attaching a container (ADD), ms'),
    ...by('DEL, whole', plugins, 'Detaching it (DEL), ms'),
    ...by('podman run', ['--network flatnet', '--network podman', '--network none'], 'podman run --rm, ms'),
  ]
}

const heightOf = (panel: Panel): number => HEAD + panel.bars.length * (BAR + GAP)

function drawPanel({ title, bars }: Panel, top: number): string {
  const most = Math.max(...bars.map((bar) => bar.value))
  const scale = (WIDTH - LABEL - TAIL) / most
  const rows = bars.map((bar, i) => {
    const y = top + HEAD + i * (BAR + GAP)
    const width = Math.max(1, bar.value * scale)
    const isOurs = bar.name.includes('flatnet')
    const middle = y + BAR / 2 + 4
    const number = bar.value >= 100 ? bar.value.toFixed(0) : bar.value.toFixed(1)
    const [color, ink, weight] = isOurs ? [OURS, OURS, 600] : [OTHERS, FADED, 400]
    const right = (LABEL + width + 8).toFixed(1)
    return (
      `<text x="${LABEL - 10}" y="${middle}" text-anchor="end" fill="${INK}">${escaped(bar.name)}</text>` +
      `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${color}"/>` +
      `<text x="${right}" y="${middle}" fill="${ink}" font-weight="${weight}">${number}</text>`
    )
  })
  const head = `<text x="20" y="${top + 16}" font-size="15" font-weight="600" fill="${INK}">${escaped(title)}</text>`
  return [head, ...rows].join('\n')
}

export function drawChart(claims: readonly Claim[]): string {
  const panels = panelsOf(claims)
  let y = 20
  const parts = panels.map((panel) => {
    const text = drawPanel(panel, y)
    y += heightOf(panel) + PANEL_GAP
    return text
  })
  const note = 'Medians of whole processes that took turns on one machine. Shorter is better. npm run bench'
  const height = y + 6
  const size = `width="${WIDTH}" height="${height}"`
  const font = 'font-family="system-ui, sans-serif" font-size="13"'
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${WIDTH} ${height}" ${font}>
<rect ${size} fill="#ffffff"/>
${parts.join('\n')}
<text x="20" y="${height - 12}" font-size="12" fill="${FADED}">${note}</text>
</svg>
`
}
