// What a backend's response must keep to for being passed on; nothing of it is guessed. Pure.
import { MeshError } from '@wishbone/core/errors'
import { type HeaderList, removeHeader } from '@wishbone/core/filters'

/** Interim responses of one request, and the bytes of their headers: Go's transport bounds the same bytes, curl the number. */
const maxInterim = { count: 100, headerBytes: 65_536 }

/** Why a final response is none; undefined: it is one (RFC 9110 §15: 101 is for who asked for another protocol). */
export function brokenStatus(status: number): MeshError | undefined {
  return status >= 200 && status <= 599 ? undefined : brokenResponse(`the backend answered with status ${status}`)
}

/** Counts the interim responses (1xx) of one request. */
export class InterimResponses {
  #count = 0
  #headerBytes = 0

  /** Why the response is not to be passed on, and the exchange to be broken off. */
  broken(status: number, headers: HeaderList): MeshError | undefined {
    if (status < 100 || status > 199 || status === 101) return brokenStatus(status)
    for (const text of headers) this.#headerBytes += text.length
    return ++this.#count > maxInterim.count || this.#headerBytes > maxInterim.headerBytes
      ? brokenResponse('the backend sends interim responses without end')
      : undefined
  }
}

/** Why content in this Transfer-Encoding cannot be passed on: nobody asked for another one than chunks (RFC 9112 §6.1). */
export function brokenCoding(coding: string | readonly string[] | undefined): MeshError | undefined {
  if (coding === undefined || (typeof coding === 'string' && coding.toLowerCase() === 'chunked')) return undefined
  return brokenResponse('the Transfer-Encoding of the response is not "chunked"')
}

/**
 * Removes Content-Length where no content can follow: 1xx and 204 must not have one (RFC 9110 §8.6), and a 304's says nothing
 * that a cache needs (§15.4.5).
 */
export function withoutIdleLength(status: number, headers: HeaderList): void {
  if (status < 200 || status === 204 || status === 304) removeHeader(headers, 'content-length')
}

function brokenResponse(message: string): MeshError {
  return new MeshError('backend-protocol', message, { at: 'upstream' })
}
