// PeerAuthentication: which workloads refuse plaintext (ambient wire §4.4). Mesh, namespace,
// workload: the narrowest that says something wins, the oldest of each level.

import { create } from '@bufbuild/protobuf'
import { security } from '@wishbone/proto'
import type { PeerAuthentication, Pod } from '../../kinds/index.ts'
import { hasLabels } from '../selector.ts'
import { createSound } from '../sound.ts'
import { guarded, keyOf, olderFirst, type World } from '../world.ts'

const presence = create(security.StringMatchSchema, { matchType: { case: 'presence', value: {} } })

export interface PeerAuthentications {
  readonly messages: readonly security.Authorization[]
  /** Name of the policy that the pod gets, if any. */
  readonly policyOf: (pod: Pod) => string | undefined
}

export function peerAuthentications(world: World): PeerAuthentications {
  const root = world.settings.systemNamespace
  const all = world.snapshot.peerAuthentications.toSorted(olderFirst)
  const isWide = ({ spec }: PeerAuthentication) => Object.keys(spec?.selector?.matchLabels ?? {}).length === 0
  const wide = new Map<string, PeerAuthentication>()
  for (const found of all) {
    const namespace = found.metadata.namespace ?? ''
    if (isWide(found) && !wide.has(namespace)) wide.set(namespace, found)
  }
  const wideMode = (namespace: string) =>
    modeOf(wide.get(namespace)?.spec?.mtls?.mode) ?? modeOf(wide.get(root)?.spec?.mtls?.mode) ?? 'PERMISSIVE'

  const staticStrict = strictPolicy(root)
  const messages = [staticStrict]
  const outcome = new Map<string, string | undefined>()
  for (const found of all) {
    if (isWide(found)) continue
    const namespace = found.metadata.namespace ?? ''
    const converted = guarded(world, found, () => convert(found, modeOf(found.spec.mtls?.mode) ?? wideMode(namespace)))
    if (converted?.kind === 'own') messages.push(converted.message)
    const name = (message: security.Authorization) => `${message.namespace}/${message.name}`
    // What can't be read is taken for STRICT: never open by mistake.
    outcome.set(
      keyOf(found),
      converted?.kind === 'own' ? name(converted.message) : converted?.kind === 'open' ? undefined : name(staticStrict),
    )
  }
  const narrow = all.filter((found) => !isWide(found))
  return {
    messages,
    policyOf(pod) {
      const namespace = pod.metadata.namespace ?? ''
      const own = narrow.find(
        ({ metadata, spec }) =>
          metadata.namespace === namespace && hasLabels(pod.metadata.labels, spec.selector?.matchLabels ?? {}),
      )
      if (own) return outcome.get(keyOf(own))
      return wideMode(namespace) === 'STRICT' ? `${staticStrict.namespace}/${staticStrict.name}` : undefined
    },
  }
}

type Mode = 'STRICT' | 'PERMISSIVE'

/** A mode that nobody knows is taken for the strict one. */
function modeOf(mode: string | undefined): Mode | undefined {
  if (mode === 'PERMISSIVE' || mode === 'DISABLE') return 'PERMISSIVE'
  return mode === undefined || mode === 'UNSET' ? undefined : 'STRICT'
}

type Converted =
  | { readonly kind: 'strict' }
  | { readonly kind: 'open' }
  | { readonly kind: 'own'; readonly message: security.Authorization }

function convert(found: PeerAuthentication, mode: Mode): Converted {
  const ports = Object.entries(found.spec.portLevelMtls ?? {})
    .map(([port, { mode: portMode }]) => ({ port: Number(port), mode: modeOf(portMode) ?? mode }))
    .filter((entry) => entry.mode !== mode)
    .map(({ port }) => port)
    .sort((a, b) => a - b)
  if (ports.length === 0) return { kind: mode === 'STRICT' ? 'strict' : 'open' }
  const rules =
    mode === 'STRICT'
      ? [{ clauses: [{ matches: [{ notPrincipals: [presence] }] }, { matches: [{ notDestinationPorts: ports }] }] }]
      : ports.map((port) => ({ clauses: [{ matches: [{ notPrincipals: [presence], destinationPorts: [port] }] }] }))
  const message = createSound(security.AuthorizationSchema, {
    name: `converted_peer_authentication_${found.metadata.name}`,
    namespace: found.metadata.namespace ?? '',
    scope: security.Scope.WORKLOAD_SELECTOR,
    action: security.Action.DENY,
    rules,
  })
  return { kind: 'own', message }
}

function strictPolicy(root: string): security.Authorization {
  return create(security.AuthorizationSchema, {
    name: 'istio_converted_static_strict',
    namespace: root,
    scope: security.Scope.WORKLOAD_SELECTOR,
    action: security.Action.DENY,
    rules: [{ clauses: [{ matches: [{ notPrincipals: [presence] }] }] }],
  })
}
