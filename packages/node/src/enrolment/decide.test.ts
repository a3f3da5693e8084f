import { describe, expect, test } from 'vitest'
import type { Pod } from '../kinds.ts'
import { decideEnrolment } from './decide.ts'
import { foreignChain } from './foreign.ts'

const settings = { excludedNamespaces: ['kube-system'], dns: true }

interface Given {
  readonly namespaceMode?: string
  readonly podMode?: string
  readonly annotations?: Record<string, string>
  readonly namespace?: string
  readonly hostNetwork?: boolean
  readonly phase?: string
  readonly spec?: Pod['spec']
}

function decide({
  namespaceMode,
  podMode,
  annotations = {},
  namespace = 'shop',
  hostNetwork,
  phase = 'Running',
  spec,
}: Given) {
  const mode = (value: string | undefined): Record<string, string> =>
    value === undefined ? {} : { 'istio.io/dataplane-mode': value }
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace, uid: 'u', labels: mode(podMode), annotations },
    spec: { ...(hostNetwork === undefined ? {} : { hostNetwork }), ...spec },
    status: { phase },
  }
  const owner = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: mode(namespaceMode) } }
  return decideEnrolment(pod, owner, settings)
}

describe('who is in', () => {
  test.each<[string, Given, 'in' | 'out']>([
    ['neither label', {}, 'out'],
    ['the label of the namespace', { namespaceMode: 'ambient' }, 'in'],
    ['the label of the pod', { podMode: 'ambient' }, 'in'],
    ['the pod opts out', { namespaceMode: 'ambient', podMode: 'none' }, 'out'],
    ['the pod opts in where the namespace opts out', { namespaceMode: 'none', podMode: 'ambient' }, 'in'],
    ['another mode', { namespaceMode: 'sidecar' }, 'out'],
    ["the host's network", { namespaceMode: 'ambient', hostNetwork: true }, 'out'],
    ["Istio's sidecar", { namespaceMode: 'ambient', annotations: { 'sidecar.istio.io/status': '{}' } }, 'out'],
    ["Linkerd's", { podMode: 'ambient', annotations: { 'linkerd.io/proxy-version': 'edge-25.1.1' } }, 'out'],
    ["Kuma's", { podMode: 'ambient', annotations: { 'kuma.io/sidecar-injected': 'true' } }, 'out'],
    ["Kuma's, not there", { podMode: 'ambient', annotations: { 'kuma.io/sidecar-injected': 'false' } }, 'in'],
    [
      'a sidecar without annotation',
      { podMode: 'ambient', spec: { initContainers: [{ name: 'istio-proxy' }] } },
      'out',
    ],
    [
      'the annotation that we write, of a run before the node crashed',
      { podMode: 'ambient', annotations: { 'ambient.istio.io/redirection': 'enabled' } },
      'in',
    ],
    [
      'an excluded namespace, even with labels',
      { namespace: 'kube-system', namespaceMode: 'ambient', podMode: 'ambient' },
      'out',
    ],
    ['a pod that is pending', { namespaceMode: 'ambient', phase: 'Pending' }, 'in'],
    ['a pod that has succeeded', { namespaceMode: 'ambient', phase: 'Succeeded' }, 'out'],
    ['a pod that has failed', { podMode: 'ambient', phase: 'Failed' }, 'out'],
  ])('%s', (_, given, kind) => {
    expect(decide(given).kind).toBe(kind)
  })

  test('only a pod that is in by its labels is refused', () => {
    const annotations = { 'linkerd.io/proxy-version': '1' }
    expect(decide({ podMode: 'ambient', annotations })).toMatchObject({
      refused: true,
      reason: 'Linkerd has captured it (annotation linkerd.io/proxy-version)',
    })
    expect(decide({ annotations })).toMatchObject({ kind: 'out', refused: false })
  })

  test('chains tell the mesh that made them', () => {
    expect(foreignChain(['filter', 'INPUT', 'nat', 'ISTIO_PRERT'])).toMatch(/^Istio .* ISTIO_PRERT/)
    expect(foreignChain(['PROXY_INIT_REDIRECT'])).toMatch(/^Linkerd/)
    expect(foreignChain(['KUMA_MESH_INBOUND'])).toMatch(/^Kuma/)
    expect(foreignChain(['wishbone-nat', 'prerouting', 'DOCKER_OUTPUT', 'MY_ISTIO_X'])).toBeUndefined()
  })

  test('a pod that has ended needs no orderly way out', () => {
    expect(decide({ namespaceMode: 'ambient', phase: 'Succeeded' })).toMatchObject({ ended: true })
    expect(decide({ podMode: 'none' })).toMatchObject({ ended: false })
  })
})

describe('how it is captured', () => {
  const capture = (given: Given) => {
    const decision = decide({ podMode: 'ambient', ...given })
    return decision.kind === 'in' ? decision.capture : undefined
  }

  test('by default both directions and names', () => {
    expect(capture({})).toEqual({ inbound: true, dns: true, probePorts: [], virtualInterfaces: [] })
  })

  test('annotations change that', () => {
    const annotations = {
      'ambient.istio.io/bypass-inbound-capture': 'true',
      'ambient.istio.io/dns-capture': 'false',
      'istio.io/reroute-virtual-interfaces': 'docker0, veth*,;rm -rf',
    }
    expect(capture({ annotations })).toEqual({
      inbound: false,
      dns: false,
      probePorts: [],
      virtualInterfaces: ['docker0', 'veth*'],
    })
  })

  test('an annotation full of interfaces is not a hundred thousand rules', () => {
    const names = Array.from({ length: 40_000 }, (_, i) => `a${i}`)
    const virtualInterfaces = (list: readonly string[]) =>
      capture({ annotations: { 'istio.io/reroute-virtual-interfaces': list.join() } })?.virtualInterfaces
    expect(virtualInterfaces(names)).toEqual(names.slice(0, 64))
    expect(virtualInterfaces(['a', 'b', ...Array.from({ length: 100 }, () => 'a'), 'c'])).toEqual(['a', 'b', 'c'])
  })

  test('probe ports: all kinds of probes and hooks, names resolved, foreign hosts and exec left out', () => {
    const spec: Pod['spec'] = {
      containers: [
        {
          name: 'a',
          ports: [{ name: 'http', containerPort: 8080 }],
          livenessProbe: { httpGet: { port: 'http' } },
          readinessProbe: { tcpSocket: { port: 9090 } },
          startupProbe: { grpc: { port: 50_051 } },
          lifecycle: {
            preStop: { httpGet: { port: '8081' } },
            postStart: { httpGet: { port: 80, host: 'example.com' } },
          },
        },
        { name: 'b', livenessProbe: {}, readinessProbe: { httpGet: { port: 'missing' } } },
      ],
      initContainers: [{ name: 'sidecar', restartPolicy: 'Always', readinessProbe: { httpGet: { port: 15_021 } } }],
    }
    expect(capture({ spec })?.probePorts).toEqual([8080, 8081, 9090, 15_021, 50_051])
  })
})
