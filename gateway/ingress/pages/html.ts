/** The frame of the gateway's pages: escaped, without scripts, self-contained. */

import { hash } from 'node:crypto'

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** For text and for double-quoted attribute values. */
export const escapeHtml = (text: string): string => text.replaceAll(/[&<>"']/g, (c) => ENTITIES[c]!)

const STYLE = `:root{color-scheme:light dark;--line:#8884;--soft:#8882}
*{box-sizing:border-box}
body{font:1rem/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1.5rem 1rem}
h1{font-size:1.4rem;margin:0 0 .5rem}
p{margin:.5rem 0;overflow-wrap:anywhere}
ul{list-style:none;margin:1rem 0;padding:0}
li{border:1px solid var(--line);border-radius:.5rem;margin:.5rem 0;padding:.6rem .8rem;overflow-wrap:anywhere}
li:hover{background:var(--soft)}
a{font-weight:600}
code{font-family:ui-monospace,monospace;font-size:.9em}
small{display:block;opacity:.75}`

export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': [
    `default-src 'none'`,
    `style-src 'sha256-${hash('sha256', STYLE, 'base64')}'`,
    `base-uri 'none'`,
    `form-action 'none'`,
    `frame-ancestors 'none'`,
  ].join('; '),
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-store',
  vary: 'Accept',
}

/** @param title plain text @param body HTML */
export const page = (title: string, body: string): string => `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><h1>${escapeHtml(title)}</h1>
${body}</body></html>
`
