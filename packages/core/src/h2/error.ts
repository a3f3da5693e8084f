// The one error that parsing throws: what to answer the peer, and whether the connection survives it.

export type H2ErrorScope = 'connection' | 'stream'

export class H2Error extends Error {
  override readonly name = 'H2Error'
  /** An error code of RFC 9113 §7, for GOAWAY or RST_STREAM. */
  readonly code: number
  readonly scope: H2ErrorScope
  /** The stream to reset, when the scope is one; 0 if the thrower cannot know it. */
  readonly streamId: number

  constructor(code: number, message: string, scope: H2ErrorScope = 'connection', streamId = 0) {
    super(message)
    this.code = code
    this.scope = scope
    this.streamId = streamId
  }
}
