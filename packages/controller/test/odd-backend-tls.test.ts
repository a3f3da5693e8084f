// BackendTLSPolicies that are not understood in whole: what they protect is refused, never sent unprotected or less checked.
import { expect, test } from 'vitest'
import { defaultSettings } from '../src/model/index.ts'
import { translate } from '../src/translate/index.ts'
import { classes, objectsOf, protectedBackend, snapshotOf } from './snapshot.ts'

const world = (validation: string, target = ''): string =>
  protectedBackend(`  targetRefs: [{ group: '', kind: Service, name: web${target} }]
${validation}`)

function outcome(yaml: string) {
  const { mesh, statuses } = translate(snapshotOf([...classes, ...objectsOf(yaml)]), defaultSettings)
  const [route] = mesh.routes.values()
  const status = statuses.find(({ kind }) => kind === 'BackendTLSPolicy')
  const accepted = status?.ancestors?.[0]?.conditions.find(({ type }) => type === 'Accepted')
  return { text: JSON.stringify(route, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)), accepted }
}

test.each([
  ['no validation', ''],
  ['a validation of another form', '  validation: { hostname: 5, wellKnownCACertificates: System }'],
  [
    'a subject alternative name of a later kind',
    `  validation:
    hostname: web.example.org
    wellKnownCACertificates: System
    subjectAltNames: [{ type: IPAddress, ipAddress: 10.0.0.1 }]`,
  ],
])('a policy with %s: nothing is sent to the backend', (_, validation) => {
  const { text, accepted } = outcome(world(validation))
  expect(accepted).toMatchObject({ status: 'False', reason: 'Invalid' })
  expect(text).toContain('BackendTLSPolicy shop/web')
})

test('a policy for a port that the Service does not have says so', () => {
  const yaml = world(
    '  validation: { hostname: web.example.org, wellKnownCACertificates: System }',
    ', sectionName: http',
  )
  expect(outcome(yaml).accepted).toMatchObject({ status: 'False', reason: 'TargetNotFound' })
})
