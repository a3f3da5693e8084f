// Reads Kubernetes' protobuf form of the few kinds that kubectl's typed commands send in it (create namespace, create token,
// auth can-i …). Everything is answered in JSON. A field that is not in the tables is refused, never dropped.
import { ApiError, badRequest } from '../objects/errors.ts'
import { isMap, type JsonMap } from '../objects/object.ts'

/** `name:type` by field number. Types: string, bytes (base64 in JSON), int, bool, map<…>, a message's name; `[]` repeats. */
type Fields = Readonly<Record<number, string>>

const role: Fields = { 1: 'metadata:ObjectMeta', 2: 'rules:PolicyRule[]' }
const binding: Fields = { 1: 'metadata:ObjectMeta', 2: 'subjects:Subject[]', 3: 'roleRef:RoleRef' }
const review = (spec: string): Fields => ({ 1: 'metadata:ObjectMeta', 2: `spec:${spec}`, 3: 'status:Nothing' })

const messages: Readonly<Record<string, Fields>> = {
  Nothing: {},
  ObjectMeta: {
    1: 'name:string',
    2: 'generateName:string',
    3: 'namespace:string',
    4: 'selfLink:string',
    5: 'uid:string',
    6: 'resourceVersion:string',
    8: 'creationTimestamp:Nothing',
    11: 'labels:map<string>',
    12: 'annotations:map<string>',
    14: 'finalizers:string[]',
  },
  Namespace: { 1: 'metadata:ObjectMeta', 2: 'spec:Nothing', 3: 'status:Nothing' },
  ConfigMap: { 1: 'metadata:ObjectMeta', 2: 'data:map<string>', 3: 'binaryData:map<bytes>', 4: 'immutable:bool' },
  Secret: {
    1: 'metadata:ObjectMeta',
    2: 'data:map<bytes>',
    3: 'type:string',
    4: 'stringData:map<string>',
    5: 'immutable:bool',
  },
  ServiceAccount: { 1: 'metadata:ObjectMeta', 4: 'automountServiceAccountToken:bool' },
  Role: role,
  ClusterRole: role,
  RoleBinding: binding,
  ClusterRoleBinding: binding,
  PolicyRule: {
    1: 'verbs:string[]',
    2: 'apiGroups:string[]',
    3: 'resources:string[]',
    4: 'resourceNames:string[]',
    5: 'nonResourceURLs:string[]',
  },
  Subject: { 1: 'kind:string', 2: 'apiGroup:string', 3: 'name:string', 4: 'namespace:string' },
  RoleRef: { 1: 'apiGroup:string', 2: 'kind:string', 3: 'name:string' },
  TokenRequest: review('TokenRequestSpec'),
  TokenRequestSpec: { 1: 'audiences:string[]', 3: 'boundObjectRef:BoundObjectReference', 4: 'expirationSeconds:int' },
  BoundObjectReference: { 1: 'kind:string', 2: 'apiVersion:string', 3: 'name:string', 4: 'uid:string' },
  TokenReview: review('TokenReviewSpec'),
  TokenReviewSpec: { 1: 'token:string', 2: 'audiences:string[]' },
  SelfSubjectReview: { 1: 'metadata:ObjectMeta', 2: 'status:Nothing' },
  SelfSubjectAccessReview: review('SelfSubjectAccessReviewSpec'),
  SelfSubjectAccessReviewSpec: {
    1: 'resourceAttributes:ResourceAttributes',
    2: 'nonResourceAttributes:NonResourceAttributes',
  },
  ResourceAttributes: {
    1: 'namespace:string',
    2: 'verb:string',
    3: 'group:string',
    4: 'version:string',
    5: 'resource:string',
    6: 'subresource:string',
    7: 'name:string',
  },
  NonResourceAttributes: { 1: 'path:string', 2: 'verb:string' },
  Deployment: { 1: 'metadata:ObjectMeta', 2: 'spec:DeploymentSpec', 3: 'status:Nothing' },
  DeploymentSpec: {
    1: 'replicas:int',
    2: 'selector:LabelSelector',
    3: 'template:PodTemplateSpec',
    4: 'strategy:Nothing',
  },
  LabelSelector: { 1: 'matchLabels:map<string>' },
  PodTemplateSpec: { 1: 'metadata:ObjectMeta', 2: 'spec:PodSpec' },
  PodSpec: { 2: 'containers:Container[]', 3: 'restartPolicy:string' },
  Container: {
    1: 'name:string',
    2: 'image:string',
    3: 'command:string[]',
    4: 'args:string[]',
    6: 'ports:ContainerPort[]',
    8: 'resources:Nothing',
  },
  ContainerPort: { 1: 'name:string', 3: 'containerPort:int', 4: 'protocol:string' },
}

/** What every body starts with. */
const magic = Buffer.from([0x6b, 0x38, 0x73, 0])

interface Field {
  readonly number: number
  readonly bytes: Buffer
  readonly value: bigint
  readonly varint: boolean
}

function* fieldsOf(bytes: Buffer): Generator<Field> {
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) break
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw badRequest('the body of the request is not valid protobuf')
  }
  while (at < bytes.length) {
    const tag = varint()
    const number = Number(tag >> 3n)
    const type = Number(tag & 7n)
    if (type === 0) yield { number, bytes: Buffer.alloc(0), value: varint(), varint: true }
    else {
      const length = type === 2 ? Number(varint()) : type === 1 ? 8 : type === 5 ? 4 : -1
      if (length < 0 || at + length > bytes.length) throw badRequest('the body of the request is not valid protobuf')
      yield { number, bytes: bytes.subarray(at, at + length), value: 0n, varint: false }
      at += length
    }
  }
}

function tooMuch(what: string): ApiError {
  return new ApiError(
    415,
    'UnsupportedMediaType',
    `${what} is not read in protobuf form on this machine; write it to a file and use kubectl apply -f`,
  )
}

function readMessage(name: string, bytes: Buffer): JsonMap {
  const table = messages[name]
  if (table === undefined) throw tooMuch(`the kind ${name}`)
  const result: JsonMap = {}
  for (const field of fieldsOf(bytes)) {
    const entry = table[field.number]
    const isEmpty = !field.varint && field.bytes.length === 0
    if (entry === undefined) {
      if (name === 'Nothing' || isEmpty || (field.varint && field.value === 0n)) continue
      throw tooMuch(`field ${field.number} of ${name}`)
    }
    const [key, type] = entry.split(':') as [string, string]
    if (type === 'Nothing') continue
    if (type.endsWith('[]')) {
      const list = Array.isArray(result[key]) ? (result[key] as unknown[]) : []
      result[key] = [...list, readValue(type.slice(0, -2), field)]
    } else if (type.startsWith('map<')) {
      const pair = { key: '', value: readValue(type.slice(4, -1), { ...field, bytes: Buffer.alloc(0) }) }
      for (const part of fieldsOf(field.bytes)) {
        if (part.number === 1) pair.key = part.bytes.toString('utf8')
        else pair.value = readValue(type.slice(4, -1), part)
      }
      result[key] = { ...(isMap(result[key]) ? result[key] : {}), [pair.key]: pair.value }
    } else {
      const value = readValue(type, field)
      // Absent and empty are one in Go.
      if (value !== '') result[key] = value
    }
  }
  return result
}

function readValue(type: string, field: Field): unknown {
  switch (type) {
    case 'string':
      return field.bytes.toString('utf8')
    case 'bytes':
      return field.bytes.toString('base64')
    case 'int':
      return Number(BigInt.asIntN(64, field.value))
    case 'bool':
      return field.value !== 0n
    default:
      return readMessage(type, field.bytes)
  }
}

/** A body of type application/vnd.kubernetes.protobuf. Throws 400 when it is malformed, 415 when it is of a kind not known here. */
export function readProtobuf(body: Buffer): JsonMap {
  if (!body.subarray(0, 4).equals(magic)) throw badRequest('the body of the request is not Kubernetes protobuf')
  let apiVersion = ''
  let kind = ''
  let raw: Buffer = Buffer.alloc(0)
  for (const field of fieldsOf(body.subarray(4))) {
    if (field.number === 1) {
      for (const part of fieldsOf(field.bytes)) {
        if (part.number === 1) apiVersion = part.bytes.toString('utf8')
        else if (part.number === 2) kind = part.bytes.toString('utf8')
      }
    } else if (field.number === 2) raw = field.bytes
  }
  return { apiVersion, kind, ...readMessage(kind, raw) }
}
