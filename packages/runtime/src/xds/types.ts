// What users of the configuration stream give and get.
import type { JsonObject } from '@bufbuild/protobuf'
import type { Steps, TurnCost } from '../lifecycle/in-turns.ts'

/** A resource as it arrived; `bytes` are the value of its google.protobuf.Any. */
export interface AdsResource {
  readonly name: string
  readonly version: string
  readonly aliases: readonly string[]
  readonly bytes: Uint8Array
}

export interface RejectedResource {
  readonly name: string
  readonly reason: string
}

/** One type of resource. Build it with `adsType`, which decodes and turns failures into rejections. */
export interface AdsType {
  readonly typeUrl: string
  readonly mode: 'wildcard' | 'on-demand'
  /**
   * Takes one response: what is new or changed, and what is gone. Decodes in steps, of which the last applies everything at once.
   * Returns what could not be taken; the rest is applied.
   */
  apply(resources: readonly AdsResource[], removed: readonly string[]): Steps<readonly RejectedResource[]>
  /** Settles when what was applied is in force, and may be acknowledged; absent: it is at once. */
  readonly inForce?: (() => Promise<void>) | undefined
}

/** A resource with its message. */
export interface DecodedResource<T> extends AdsResource {
  readonly value: T
}

export interface AdsTypeOptions<T> {
  readonly typeUrl: string
  readonly mode: 'wildcard' | 'on-demand'
  /** Throws on what is malformed. */
  decode(bytes: Uint8Array): T
  apply(resources: readonly DecodedResource<T>[], removed: readonly string[]): readonly RejectedResource[] | undefined
  readonly inForce?: () => Promise<void>
}

/** A type whose resources are decoded one by one, so that a bad one does not spoil the others. */
export function adsType<T>(options: AdsTypeOptions<T>): AdsType {
  return {
    typeUrl: options.typeUrl,
    mode: options.mode,
    *apply(resources, removed) {
      const good: DecodedResource<T>[] = []
      const rejected: RejectedResource[] = []
      for (const resource of resources) {
        try {
          good.push({ ...resource, value: options.decode(resource.bytes) })
        } catch (cause) {
          rejected.push({
            name: resource.name,
            reason: `does not decode: ${cause instanceof Error ? cause.message : cause}`,
          })
        }
        yield
      }
      return [...rejected, ...(options.apply(good, removed) ?? [])]
    },
    inForce: options.inForce,
  }
}

/** Who we are, as the first request of every type says (ambient wire §2.1). */
export interface AdsNode {
  readonly id: string
  readonly metadata: JsonObject
}

/** Called as the stream lives; for metrics. */
export interface AdsEvents {
  connected?(): void
  /** A stream ended; `reason` is a gRPC status name. */
  terminated?(reason: string): void
  received?(typeUrl: string, resources: number, bytes: number): void
  /** A turn of the event loop was spent on a response. */
  turn?(cost: TurnCost): void
}
