// Scene 16: every kind of broken reference is told in the status of the object that has it, by name and with the standard reason.
import { until } from '@wishbone/testing/cluster'
import { manifest } from '../../manifest.ts'
import type { Scene } from '../../scene.ts'
import { conditionOf, type SeenCondition } from '../conditions.ts'
import { stageNamespace } from '../namespaces.ts'

const namespace = 'e2e-status'

interface Broken {
  readonly what: string
  readonly kind: string
  readonly name: string
  readonly condition: string
  readonly reason: string
  /** What the message must name: a pattern. */
  readonly names: string
}

const route = (name: string, reason: string, names: string, what: string, kind = 'httproutes'): Broken => ({
  what,
  kind,
  name,
  condition: reason.startsWith('NoMatching') ? 'Accepted' : 'ResolvedRefs',
  reason,
  names,
})

const gateway = (name: string, condition: string, reason: string, names: string, what: string): Broken => ({
  what,
  kind: 'gateways',
  name,
  condition,
  reason,
  names,
})

const broken: readonly Broken[] = [
  route('backend', 'BackendNotFound', 'nowhere', 'a backend that does not exist'),
  route('backend-port', 'BackendNotFound', '9999', "a port that the backend's Service has not"),
  route('backend-kind', 'InvalidKind', 'Strange', 'a backend of an unknown kind'),
  route('backend-elsewhere', 'RefNotPermitted', 'bookinfo', 'a backend of another namespace without a ReferenceGrant'),
  route('mirror', 'BackendNotFound', 'nowhere', 'a mirror that does not exist'),
  route('extension', 'BackendNotFound', 'no-fault', 'a FaultInjection that does not exist'),
  route('extension-kind', 'InvalidKind', 'Strange', 'an extension of an unknown kind'),
  route('parent', 'NoMatchingParent', 'nowhere', 'a parent Service that does not exist'),
  route('parent-port', 'NoMatchingParent', '9999', 'a port that the parent Service has not'),
  route('parent-listener', 'NoMatchingParent', 'nowhere', 'a listener that the parent Gateway has not'),
  route('grpc', 'BackendNotFound', 'nowhere', 'a backend of a GRPCRoute', 'grpcroutes'),
  route('tcp', 'BackendNotFound', 'nowhere', 'a backend of a TCPRoute', 'tcproutes'),
  route('tls', 'BackendNotFound', 'nowhere', 'a backend of a TLSRoute', 'tlsroutes'),
  gateway('certificate', 'ResolvedRefs', 'InvalidCertificateRef', 'nowhere', 'a certificate that does not exist'),
  gateway('certificate-elsewhere', 'ResolvedRefs', 'RefNotPermitted', 'bookinfo', 'a certificate of another namespace'),
  gateway('parameters', 'Accepted', 'InvalidParameters', 'parametersRef|nowhere', 'parameters that do not exist'),
  {
    what: 'a waypoint that does not exist',
    kind: 'services',
    name: 'astray',
    condition: 'istio.io/WaypointBound',
    reason: 'WaypointMissing',
    names: 'nobody',
  },
  {
    what: 'a policy for a Service that does not exist',
    kind: 'authorizationpolicies',
    name: 'service-policy',
    condition: 'WaypointAccepted',
    reason: 'TargetNotFound',
    names: 'nowhere',
  },
  {
    what: 'a policy for a Gateway that does not exist',
    kind: 'authorizationpolicies',
    name: 'gateway-policy',
    condition: 'WaypointAccepted',
    reason: 'TargetNotFound',
    names: 'nowhere',
  },
]

export const brokenReferences: Scene = {
  number: 16,
  title: 'Every broken reference has a status that names it',
  async play({ cluster, doing, check }) {
    doing('kubectl apply -f 16-broken-references.yaml')
    await using _namespace = await stageNamespace(cluster, namespace, manifest('16-broken-references'))
    for (const { what, kind, name, condition, reason, names } of broken) {
      let last: SeenCondition | undefined
      const holds = await until(what, async () => {
        last = conditionOf(await cluster.get(kind, namespace, name), condition)
        return last?.status === 'False' && last.reason === reason && new RegExp(names).test(last.message)
      }).catch(() => false)
      const seen = last ? `${condition}=${last.status} ${last.reason}: ${last.message}` : `no condition ${condition}`
      check(`${what}: ${condition}=False, ${reason}, naming ${names}`, holds, seen)
    }
  },
}
