// Which pod: what of it never changes.

export interface PodIdentity {
  readonly uid: string
  readonly name: string
  readonly namespace: string
  readonly serviceAccount: string
}
