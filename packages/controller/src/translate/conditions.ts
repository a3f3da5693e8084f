// Conditions as values. The status writer adds lastTransitionTime.
import type { Condition, KubeObject } from '../kinds/index.ts'

export interface Verdict {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

export function yes(reason: string, message = ''): Verdict {
  return { status: 'True', reason, message }
}

export function no(reason: string, message: string): Verdict {
  return { status: 'False', reason, message }
}

/** A condition of `object`, at the generation that was translated. */
export function condition(object: KubeObject, type: string, verdict: Verdict): Condition {
  // The API allows at most 32768 characters; a reader needs far fewer. Of half a character it makes another one, and what we wrote
  // would never be what is there.
  const { length } = verdict.message
  const message = (length > 1024 ? `${verdict.message.slice(0, 1021)}...` : verdict.message).toWellFormed()
  return { type, ...verdict, message, observedGeneration: generationOf(object) }
}

export function generationOf(object: KubeObject): number {
  return object.metadata.generation ?? 0
}

/** What an object's status says already; nothing if it is not of the form that the API server gives it. */
export function conditionOf(
  { status }: { readonly status?: { readonly conditions?: readonly Condition[] } },
  type: string,
): Condition | undefined {
  const conditions: unknown = status?.conditions
  return Array.isArray(conditions)
    ? ((conditions as readonly (Condition | null)[]).find((one) => one?.type === type) ?? undefined)
    : undefined
}
