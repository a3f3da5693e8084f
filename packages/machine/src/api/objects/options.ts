// What a client may ask for beside the object itself (Kubernetes API: CreateOptions, UpdateOptions, PatchOptions, DeleteOptions).

export interface WriteOptions {
  readonly fieldManager?: string
  readonly fieldValidation?: 'Strict' | 'Warn' | 'Ignore'
  readonly dryRun?: boolean
  readonly force?: boolean
  readonly subresource?: string
  /** Receives warnings for the client. */
  readonly warn?: (message: string) => void
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number
  readonly propagationPolicy?: string
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string }
  readonly dryRun?: boolean
}

export type PatchKind = 'json' | 'merge' | 'strategic' | 'apply'
