import { describe, expect, test } from 'vitest'
import { fieldIn, nearest, unknownKind } from './hints.ts'

test.each([
  ['strict decoding error: unknown field "spec.parentRefs[0].prot"', 'spec.parentRefs[0].prot'],
  ['spec.ports[0].port: Invalid value: "string": must be of type integer', 'spec.ports[0].port'],
  ['[spec.a: Required value, spec.b: Required value]', 'spec.a'],
  ['namespaces "nope" not found', ''],
])('the field in %j', (message, field) => expect(fieldIn(message)).toBe(field))

test.each([
  ['HTTPRout', 'HTTPRoute'],
  ['httproute', 'HTTPRoute'],
  ['Sevice', 'Service'],
  ['Frobnicator', undefined],
])('nearest to %s', (word, expected) => expect(nearest(word, ['HTTPRoute', 'Service', 'Gateway'])).toBe(expected))

describe('unknownKind', () => {
  const served = ['v1/Service', 'apps/v1/Deployment', 'gateway.networking.k8s.io/v1/HTTPRoute']
  test.each([
    ['gateway.networking.k8s.io/v1', 'HTTPRout', 'did you mean HTTPRoute?'],
    ['gateway.networking.k8s.io/v1alpha2', 'HTTPRoute', 'write apiVersion: gateway.networking.k8s.io/v1'],
    ['v1', 'Deployment', 'write apiVersion: apps/v1'],
    ['networking.istio.io/v1', 'VirtualService', 'add its CustomResourceDefinition'],
  ])('%s %s', (apiVersion, kind, hint) => expect(unknownKind(apiVersion, kind, served)).toContain(hint))
})
