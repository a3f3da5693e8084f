// ConfigMaps that anyone may write, as certificates of authorities: reading them takes no longer than they are.
import { expect, test } from 'vitest'
import { defaultSettings } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'
import { classes, objectsOf, protectedBackend, snapshotOf } from './snapshot.ts'

const world = protectedBackend(`  targetRefs: [{ group: '', kind: Service, name: web }]
  validation: { caCertificateRefs: [{ group: '', kind: ConfigMap, name: ca }], hostname: web.example.org }`)

test('a ConfigMap full of beginnings of certificates does not keep the controller from its work', () => {
  const begin = '-----BEGIN CERTIFICATE-----\n'
  const data = { 'ca.crt': begin.repeat(Math.floor((1 << 20) / begin.length)) }
  const ca = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'ca', namespace: 'shop' }, data }
  const snapshot = snapshotOf([...classes, ...objectsOf(world), ca])
  const began = performance.now()
  const { statuses } = translate(snapshot, defaultSettings)
  expect(performance.now() - began).toBeLessThan(2_000)
  expect(JSON.stringify(statuses)).toContain('without a PEM certificate')
})
