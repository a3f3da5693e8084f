// The productpage's HTML, as a pure function of what the other services answered.
import type { IncomingHttpHeaders } from 'node:http'

export type Part<T> =
  | { readonly kind: 'present'; readonly value: T; readonly ms: number; readonly headers: IncomingHttpHeaders }
  | { readonly kind: 'missing'; readonly reason: string; readonly ms: number }

export interface Review {
  readonly version: string
  readonly podname: string
  readonly reviews: readonly {
    readonly reviewer: string
    readonly text: string
    readonly rating?: { readonly stars?: number; readonly color?: string; readonly error?: string }
  }[]
}

export interface PageFacts {
  readonly user: string | undefined
  readonly podName: string
  readonly details: Part<Record<string, string | number>>
  readonly reviews: Part<Review>
}

const style = `
:root{--ink:#1d2330;--soft:#667085;--line:#e4e7ec;--paper:#fff;--back:#f5f6f8;--accent:#3b5bdb}
*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back)}
header{background:var(--ink);color:#fff;padding:14px 24px;display:flex;justify-content:space-between;align-items:center}
header form{display:flex;gap:8px}header input{padding:6px 10px;border:0;border-radius:6px;width:9em}
header button,header a{padding:6px 12px;border:0;border-radius:6px;background:var(--accent);color:#fff;text-decoration:none;font:inherit;cursor:pointer}
main{max-width:960px;margin:32px auto;padding:0 24px}h1{margin:0 0 4px;font-size:32px}.by{color:var(--soft);margin:0 0 24px}
.cards{display:grid;grid-template-columns:1fr 2fr;gap:20px}@media(max-width:720px){.cards{grid-template-columns:1fr}}
section{background:var(--paper);border:1px solid var(--line);border-radius:12px;padding:20px}h2{margin:0 0 12px;font-size:18px}
dl{display:grid;grid-template-columns:auto 1fr;gap:4px 14px;margin:0}dt{color:var(--soft)}dd{margin:0}
blockquote{margin:0 0 18px;padding:0 0 0 14px;border-left:3px solid var(--line)}cite{color:var(--soft);font-size:14px}
.stars{letter-spacing:2px}.red{color:#d6336c}.black{color:#212529}.missing{color:#b42318}.meta{color:var(--soft);font-size:13px;margin:14px 0 0}
`

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

function escapeHtml(text: unknown): string {
  return String(text).replace(/[&<>"']/g, (character) => entities[character] ?? character)
}

function stars(rating: Review['reviews'][number]['rating']): string {
  if (!rating) return ''
  if (rating.stars === undefined) return `<p class="missing">${escapeHtml(rating.error ?? 'no rating')}</p>`
  const full = Math.max(0, Math.min(5, rating.stars))
  const color = rating.color === 'red' ? 'red' : 'black'
  return `<div class="stars ${color}" title="${full} of 5">${'★'.repeat(full)}${'☆'.repeat(5 - full)}</div>`
}

function detailsCard(details: PageFacts['details']): string {
  if (details.kind === 'missing') {
    return `<p class="missing">Sorry, product details are currently unavailable (${escapeHtml(details.reason)}).</p>`
  }
  const rows = Object.entries(details.value).filter(([key]) => key !== 'id' && key !== 'title' && key !== 'author')
  return `<dl>${rows.map(([key, value]) => `<dt>${escapeHtml(key)}</dt><dd>${escapeHtml(value)}</dd>`).join('')}</dl>`
}

function reviewsCard(reviews: PageFacts['reviews']): string {
  if (reviews.kind === 'missing') {
    return `<p class="missing">Sorry, product reviews are currently unavailable (${escapeHtml(reviews.reason)}).</p>`
  }
  const quotes = reviews.value.reviews.map(
    (entry) =>
      `<blockquote>${escapeHtml(entry.text)}${stars(entry.rating)}<cite>${escapeHtml(entry.reviewer)}</cite></blockquote>`,
  )
  const served = `served by <code>${escapeHtml(reviews.value.podname)}</code> (${escapeHtml(reviews.value.version)}) in ${reviews.ms} ms`
  return `${quotes.join('')}<p class="meta">${served}</p>`
}

/** The whole page. Everything that another service said is escaped. */
export function renderPage(facts: PageFacts): string {
  const login = facts.user
    ? `<span>${escapeHtml(facts.user)} &nbsp;<a href="/logout">Sign out</a></span>`
    : '<form action="/login"><input name="user" placeholder="user" aria-label="user" required><button>Sign in</button></form>'
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>The Comedy of Errors · Bookinfo</title><style>${style}</style></head>
<body><header><strong>Bookinfo</strong>${login}</header>
<main><h1>The Comedy of Errors</h1><p class="by">William Shakespeare, 1595</p>
<div class="cards"><section><h2>Book details</h2>${detailsCard(facts.details)}</section>
<section><h2>Reviews</h2>${reviewsCard(facts.reviews)}</section></div>
<p class="meta">page by <code>${escapeHtml(facts.podName)}</code></p></main></body></html>
`
}
