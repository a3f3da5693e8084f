import { createSecretKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { WorkloadCertificate } from './certificate.ts'
import { createCsr, parseCsr } from './csr.ts'
import { issueIntermediate, issueLeaf, selfSignedRoot } from './issue.ts'
import { parseSubjectAltName, splitPem } from './x509.ts'

const identity = 'spiffe://cluster.local/ns/shop/sa/web'
const root = selfSignedRoot({ organization: 'cluster.local', ttlSeconds: 3600 })

describe('requests', () => {
  test('say who asks, and prove that the key is theirs', async () => {
    const { csrPem, key } = await createCsr(identity)
    const csr = parseCsr(csrPem)
    expect(csr).toMatchObject({ uris: [identity], dnsNames: [] })
    expect(csr.publicKey.equals(key as never)).toBe(false)
    expect(csr.publicKey.export({ format: 'jwk' })).toEqual(expect.objectContaining({ crv: 'P-256' }))
  })

  test('with a changed byte are refused', async () => {
    const { csrPem } = await createCsr(identity)
    const der = Buffer.from(csrPem.replace(/-----.*?-----/g, ''), 'base64')
    const at = der.indexOf('web')
    der[at] = 'x'.charCodeAt(0)
    const changed = `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----`
    expect(() => parseCsr(changed)).toThrow('signature')
  })

  test('of any shape do nothing worse than throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${Buffer.from(bytes).toString('base64')}\n-----END CERTIFICATE REQUEST-----`
        expect(() => parseCsr(pem)).toThrow()
      }),
    )
    expect(() => parseCsr('x'.repeat(100_000))).toThrow('64 KiB')
  })
})

describe('issued certificates', () => {
  test.each([
    ['P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['RSA', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['Ed25519', generateKeyPairSync('ed25519')],
  ])('are good under a root of %s', (_name, pair) => {
    const signer = selfSignedRoot({ organization: 'x', ttlSeconds: 3600, key: pair.privateKey })
    const leaf = new X509Certificate(
      issueLeaf({ publicKey: pair.publicKey, uriSans: [identity], ttlSeconds: 60, signer }).pem,
    )
    expect(leaf.checkIssued(new X509Certificate(signer.certPem))).toBe(true)
    expect(leaf.verify(pair.publicKey)).toBe(true)
    expect(leaf.subjectAltName).toBe(`URI:${identity}`)
    expect(leaf.ca).toBe(false)
  })

  test('may have a subject, and then need no other name', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const subject = { commonName: 'system:node:a', organization: 'system:nodes' }
    const leaf = new X509Certificate(issueLeaf({ publicKey, subject, ttlSeconds: 60, signer: root }).pem)
    expect(leaf.subject).toBe('O=system:nodes\nCN=system:node:a')
    expect(leaf.subjectAltName).toBeUndefined()
  })

  test('begin two minutes ago and never outlive their signer', () => {
    const now = new Date('2026-06-01T12:00:00Z')
    const signer = selfSignedRoot({ organization: 'x', ttlSeconds: 3600, now })
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const leaf = issueLeaf({ publicKey, uriSans: [identity], ttlSeconds: 86_400, signer, now })
    expect(leaf.notBefore.toISOString()).toBe('2026-06-01T11:58:00.000Z')
    expect(leaf.notAfter.toISOString()).toBe('2026-06-01T13:00:00.000Z')
    const late = new Date('2026-06-02T12:00:00Z')
    expect(() => issueLeaf({ publicKey, ttlSeconds: 1, signer, now: late })).toThrow('has expired')
  })

  test('are not issued for weak or strange keys', () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
    expect(() => issueLeaf({ publicKey: weak, ttlSeconds: 1, signer: root })).toThrow('1024 bits')
    const strange = createSecretKey(Buffer.from('x'))
    expect(() => issueLeaf({ publicKey: strange, ttlSeconds: 1, signer: root })).toThrow('not accepted')
  })
})

describe('a workload certificate', () => {
  async function material(changes: { uri?: string; signer?: typeof root; roots?: string; ttl?: number } = {}) {
    const { csrPem, key } = await createCsr(identity)
    const signer = changes.signer ?? root
    const leaf = issueLeaf({ csrPem, uriSans: [changes.uri ?? identity], ttlSeconds: changes.ttl ?? 60, signer })
    return { identity, key, chainPem: leaf.pem, rootsPem: changes.roots ?? root.certPem }
  }

  test('chains through intermediates, among several roots', async () => {
    const signer = issueIntermediate({ organization: 'y', ttlSeconds: 600, signer: root })
    const base = await material({ signer })
    const others = selfSignedRoot({ organization: 'z', ttlSeconds: 600 }).certPem
    const certificate = new WorkloadCertificate({
      ...base,
      chainPem: base.chainPem + signer.certPem,
      rootsPem: others + root.certPem,
    })
    expect(certificate.secureContext()).toBe(certificate.secureContext())
    expect(() => new WorkloadCertificate(base)).toThrow('does not chain')
  })

  test.each<[string, Parameters<typeof material>[0], RegExp]>([
    ['somebody else', { uri: `${identity}x` }, /is for .*webx instead/],
    ['another root', { roots: selfSignedRoot({ organization: 'z', ttlSeconds: 600 }).certPem }, /does not chain/],
    ['no root', { roots: '' }, /without a root/],
    ['a past time', { ttl: -30 }, /has expired/],
  ])('for %s is refused', async (_name, changes, message) => {
    const wrong = await material(changes)
    expect(() => new WorkloadCertificate(wrong)).toThrow(message)
  })

  test('for another key is refused', async () => {
    const [one, two] = [await material(), await material()]
    expect(() => new WorkloadCertificate({ ...one, key: two.key })).toThrow('another key')
  })

  test('never shows its key', async () => {
    const certificate = new WorkloadCertificate(await material())
    const secret = certificate.key.export({ format: 'der', type: 'pkcs8' }).toString('base64').slice(-20)
    expect(JSON.stringify({ certificate })).not.toContain('PRIVATE')
    expect(JSON.stringify({ certificate, key: certificate.key })).not.toContain(secret)
  })
})

test.each([
  [undefined, [], []],
  ['URI:spiffe://a/ns/b/sa/c', ['spiffe://a/ns/b/sa/c'], []],
  ['DNS:a.b, URI:spiffe://x, DNS:c', ['spiffe://x'], ['a.b', 'c']],
  ['DNS:"a, URI:spiffe://evil", URI:spiffe://good', ['spiffe://good'], ['a, URI:spiffe://evil']],
  ['URI:"sp\\"iffe, DNS:x", DNS:y', ['sp"iffe, DNS:x'], ['y']],
  ['URI:"unfinished', [], []],
])('names in %j', (text, uris, dnsNames) => {
  expect(parseSubjectAltName(text)).toMatchObject({ uris, dnsNames })
})

test('a DNS name cannot pass for a URI', async () => {
  const { csrPem } = await createCsr(identity)
  const leaf = issueLeaf({ csrPem, dnsSans: ['x, URI:spiffe://cluster.local/ns/a/sa/b'], ttlSeconds: 60, signer: root })
  expect(parseSubjectAltName(new X509Certificate(leaf.pem).subjectAltName).uris).toEqual([])
})

test('PEM blocks', () => {
  const block = '-----BEGIN A-----\nabc\n-----END A-----\n'
  expect(splitPem(`comment\r\n${block}${block.replaceAll('\n', '\r\n')}rest`)).toEqual([block, block])
  expect(splitPem('nothing')).toEqual([])
})
