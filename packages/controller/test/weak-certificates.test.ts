// Secrets whose certificate and key belong together, and that no TLS server takes all the same: their listeners must say so.
import { expect, test } from 'vitest'
import { defaultSettings } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'
import { classes, objectsOf, snapshotOf } from './snapshot.ts'

const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, generation: 1 }
spec:
  gatewayClassName: wishbone
  listeners: [{ name: https, port: 443, protocol: HTTPS, tls: { certificateRefs: [{ name: web }] } }]
`
/** Of an RSA key of 1024 bits, which OpenSSL refuses as too small. */
const weakCertificate = [
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUNGRENDQVgyZ0F3SUJBZ0lVRDJaeENKb3ZZV3RKd2FRRTN4WWwxWW1qWlk4',
  'd0RRWUpLb1pJaHZjTkFRRUwKQlFBd0d6RVpNQmNHQTFVRUF3d1FkMlZoYXk1bGVHRnRjR3hsTG05eVp6QWdGdzB5TmpFeE1qRXlN',
  'VFUzTURKYQpHQTh5TVRJMk1UQXlPREl4TlRjd01sb3dHekVaTUJjR0ExVUVBd3dRZDJWaGF5NWxlR0Z0Y0d4bExtOXlaekNCCm56',
  'QU5CZ2txaGtpRzl3MEJBUUVGQUFPQmpRQXdnWWtDZ1lFQXBpUUxkTGVtbWpVMGkydVVGRVFRV2ROaDVieUMKQXNjdXJYVm5xclVq',
  'QktpWG9zYXEwaXhJYUg5bWg0a1pZRy94dTJKcm9BczNMRXpEdlphdVpab1dwc0JTSlZQUApBZUFTZzk1Um9lcVh0OFNINWdBVzZU',
  'eFFRS1ZmQXJhcjBmVGJFbGlnN1R4c2RMSlg5dmd2cGp6ZEpMZEdsbzdICkRpZkxwOE5jRFN5L3k1RUNBd0VBQWFOVE1GRXdIUVlE',
  'VlIwT0JCWUVGRTcvcmQ2WTZ1clRGVG9yRU94NXNtNksKTDE5M01COEdBMVVkSXdRWU1CYUFGRTcvcmQ2WTZ1clRGVG9yRU94NXNt',
  'NktMMTkzTUE4R0ExVWRFd0VCL3dRRgpNQU1CQWY4d0RRWUpLb1pJaHZjTkFRRUxCUUFEZ1lFQVhneVNMYnJYdkNTa1I0aXBXRTkw',
  'ZGljVzhFeHVZaUVlCjgxZEFPTGZtNG13Nm1HZEFPNEdqcElMWFhCQXpYVy8yWlJTRk5hMDZoZ3FxZDRqMXhsN09hNmdBRTFzKzAz',
  'bXUKM0FGd3JjZTdIbU51V0Y1Y2pxSG4vemIxTkhkTWJsK3dncWJFOUpsTzZuVE9NbTN0WDNDemVjcjNsVzFyMlI3agp0dzR6b1Yv',
  'dE1lTT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=',
].join('')
const weakKey = [
  'LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1JSUNkd0lCQURBTkJna3Foa2lHOXcwQkFRRUZBQVNDQW1Fd2dnSmRBZ0VBQW9H',
  'QkFLWWtDM1MzcHBvMU5JdHIKbEJSRUVGblRZZVc4Z2dMSExxMTFaNnExSXdTb2w2TEdxdElzU0doL1pvZUpHV0J2OGJ0aWE2QUxO',
  'eXhNdzcyVwpybVdhRnFiQVVpVlR6d0hnRW9QZVVhSHFsN2ZFaCtZQUZ1azhVRUNsWHdLMnE5SDAyeEpZb08wOGJIU3lWL2I0Ckw2',
  'WTgzU1MzUnBhT3h3NG55NmZEWEEwc3Y4dVJBZ01CQUFFQ2dZQVhzcVIvcllKeUZJeStKa1lrN2VCM0w1T1QKTldSR0NTczdTcmZT',
  'dmF1VkNvYzJqS2ZvK3JBSlY4TEVLbVlZUDE5M252NURBZGFJMXhwRWZLMjdpRk1ha3hOeApIc3pTRkJNdnpxL2pidUNpQTZIcjNB',
  'Q3J3cTl2eElQR3RXY0p4MVlNUUsydnpZZ2J3M2dxcG1aV3ZOL0kyWHlUCnhRVmN0WExkZWdGUnJSZVB3UUpCQU5LUGlnSG14c050',
  'a2VCZ2QybUJpaFBKWFRYUDJGbTFGY05LelovK29xMlUKbUhUSUJzMWxWYTNvZ0E2TUdBYjZ3YkJ2aW9uY3pHakpTQWRtSHhWM0hP',
  'MENRUURKL29WWm9hbGxkSWZuWW52dAppQlB3MUFTOU9rR0tIampuNWF4WkF0NTdGKzZXV1EwZm5MaGpUUUtlUHk4S042eEdqZkty',
  'MDRqREV2RzY1ZklUCjlyaTFBa0VBME1GTXN5dm8zZkp3MFVMeXdPQ1VVNSt0VU4rYkFQMSs4UnJsbUgxdExha0lLYWZ5em9wc0Vy',
  'cFMKMDVsamJQQUpQZktvS0p5RzhGQzJuOWRJZEJDZTFRSkFCRjFEZEZSUjNLZFA2R2Z3VlltREpNanY4VWE0ODhzRApYNzlPb2Yy',
  'MTRPTDdmTFFmM0hiK1pPYmRENTQ5M2ZLbC9rQkM1Z09FQ1BMMzFobnh5UXlqb1FKQkFNajArd3AvCkxubWZPQnd5dWl6cWVKVFNG',
  'UVJCeVhJOWZoaXFwMGoxV0prVU1wZkJmV3hiZ0FVcHNFNVlJbHFOLzFqRmgydHQKclNmSGFUWXU3OTVkREpvPQotLS0tLUVORCBQ',
  'UklWQVRFIEtFWS0tLS0tCg==',
].join('')
const goodCertificate = [
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJnakNDQVNtZ0F3SUJBZ0lVQ2N5UkREVmJmZnlSa2cyU08zbml5c1lsL1Fz',
  'd0NnWUlLb1pJemowRUF3SXcKRmpFVU1CSUdBMVVFQXd3TFpYaGhiWEJzWlM1dmNtY3dJQmNOTWpZeE1USXhNRFV3TVRBNFdoZ1BN',
  'akV5TmpFdwpNamd3TlRBeE1EaGFNQll4RkRBU0JnTlZCQU1NQzJWNFlXMXdiR1V1YjNKbk1Ga3dFd1lIS29aSXpqMENBUVlJCktv',
  'Wkl6ajBEQVFjRFFnQUVESmxPTkIzeDJtQ3Z3cEZKVllSMDE5RkhaelFyRTJ4TDFVZjFJcU4zRDhuZmdIM3AKbnQ3RUZKNVhKamly',
  'N0ZWNzU3M2w5b3lYNzRRaE15QjRyR2t5WXFOVE1GRXdIUVlEVlIwT0JCWUVGSG1ocGxMRApFdDk5TkNvVVJCUFRCNWpvZW82T01C',
  'OEdBMVVkSXdRWU1CYUFGSG1ocGxMREV0OTlOQ29VUkJQVEI1am9lbzZPCk1BOEdBMVVkRXdFQi93UUZNQU1CQWY4d0NnWUlLb1pJ',
  'emowRUF3SURSd0F3UkFJZ2JpN09EOGs5bzR2MTRNb2kKbXlKRmJFZDZiVVhEelVXbmRmZXdFUWxXaFFnQ0lHOVNBTDYrMnVOR3VX',
  'YTB2UFp6MHM2ZUNCOUJzWlFacWRXQQpFdUthejBYVQotLS0tLUVORCBDRVJUSUZJQ0FURS0tLS0tCg==',
].join('')
const goodKey = [
  'LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1JR0hBZ0VBTUJNR0J5cUdTTTQ5QWdFR0NDcUdTTTQ5QXdFSEJHMHdhd0lCQVFR',
  'Z0ExSkJwS0RkZ0JJL01zcjEKUnhuS1dyZmJKODBwdjFsVVdCYmdLWDFKTGtTaFJBTkNBQVFNbVU0MEhmSGFZSy9Da1VsVmhIVFgw',
  'VWRuTkNzVApiRXZWUi9VaW8zY1B5ZCtBZmVtZTNzUVVubGNtT0t2c1ZYdm52ZVgyakpmdmhDRXpJSGlzYVRKaQotLS0tLUVORCBQ',
  'UklWQVRFIEtFWS0tLS0tCg==',
].join('')

function resolvedRefs(certificate: string, key: string) {
  const metadata = { name: 'web', namespace: 'shop' }
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, data: { 'tls.crt': certificate, 'tls.key': key } }
  const { statuses } = translate(snapshotOf([...classes, ...objectsOf(gateway), secret]), defaultSettings)
  const listener = statuses.find(({ kind }) => kind === 'Gateway')?.listeners?.[0]
  return listener?.conditions.find(({ type }) => type === 'ResolvedRefs')
}

function followedBy(text: string): string {
  return btoa(`${atob(goodCertificate)}${text}`)
}

test.each([
  ['a key that is too small', weakCertificate, weakKey, '1024 bits'],
  [
    'a second certificate that is none',
    followedBy('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'),
    goodKey,
    'can not be read',
  ],
  ['a second certificate that ends early', followedBy('-----BEGIN CERTIFICATE-----\nMIIB'), goodKey, 'can not be read'],
])('a Secret with %s', (_, certificate, key, told) => {
  const found = resolvedRefs(certificate, key)
  expect(found).toMatchObject({ status: 'False', reason: 'InvalidCertificateRef' })
  expect(found?.message).toContain(told)
})

test('a Secret whose certificate has words around it serves', () => {
  expect(resolvedRefs(followedBy('that was it\n'), goodKey)?.status).toBe('True')
})
