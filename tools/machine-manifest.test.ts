import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { forMachine } from './machine-manifest.ts'

const objects = `# Who it is.
kind: ServiceAccount
---
kind: DaemonSet
spec:
  template:
    spec:
      securityContext: { runAsUser: 65532 }
      shareProcessNamespace: true
      hostNetwork: true
      containers:
        - name: node
          securityContext: { readOnlyRootFilesystem: true }
          resources: { limits: { memory: 1Gi } }
          env: [{ name: OTHER, value: a }]
          volumeMounts:
            - { name: cni, mountPath: /var/run/wishbone-cni }
            - { name: proc, mountPath: /host/proc }
      volumes:
        - { name: cni, hostPath: { path: /var/run/wishbone-cni } }
        - { name: proc, hostPath: { path: /proc } }
        - { name: root, configMap: { name: root } }
`

test('what needs a real node goes, everything else stays, comments too', () => {
  const [account = '', daemon = ''] = forMachine(objects).split('---\n')
  expect(account).toBe('# Who it is.\nkind: ServiceAccount\n')
  expect(parse(daemon).spec.template.spec).toEqual({
    hostNetwork: true,
    containers: [
      {
        name: 'node',
        env: [{ name: 'OTHER', value: 'a' }],
        volumeMounts: [{ name: 'cni', mountPath: '/var/run/wishbone-cni' }],
      },
    ],
    volumes: [
      { name: 'cni', hostPath: { path: '/var/run/wishbone-cni' } },
      { name: 'root', configMap: { name: 'root' } },
    ],
  })
})
