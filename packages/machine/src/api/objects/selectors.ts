// Label and field selectors, as text (queries) and as objects (matchLabels, matchExpressions).
import { badRequest } from './errors.ts'
import { isMap, type KubeObject } from './object.ts'

export interface Requirement {
  readonly key: string
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt'
  readonly values: readonly string[]
}

type Labels = Readonly<Record<string, string>> | undefined

export function matchesLabels(requirements: readonly Requirement[], labels: Labels): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined
    switch (operator) {
      case 'Exists':
        return value !== undefined
      case 'DoesNotExist':
        return value === undefined
      case 'In':
        return value !== undefined && values.includes(value)
      case 'NotIn':
        return value === undefined || !values.includes(value)
      case 'Gt':
        return value !== undefined && Number(value) > Number(values[0])
      case 'Lt':
        return value !== undefined && Number(value) < Number(values[0])
      default:
        return false
    }
  })
}

/** `a=b,c!=d,e in (f,g),h notin (i),j,!k` */
export function parseLabelSelector(text: string): readonly Requirement[] {
  const requirements: Requirement[] = []
  for (const part of splitOutsideParentheses(text)) {
    const set = /^([^\s!=]+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(part)
    const equality = /^([^\s!=]+)\s*(==|=|!=)\s*([^\s]*)$/.exec(part)
    const presence = /^(!?)\s*([^\s!=()]+)$/.exec(part)
    if (set !== null) {
      const values = set[3]!.split(',').map((value) => value.trim())
      requirements.push({ key: set[1]!, operator: set[2] === 'in' ? 'In' : 'NotIn', values })
    } else if (equality !== null) {
      requirements.push({ key: equality[1]!, operator: equality[2] === '!=' ? 'NotIn' : 'In', values: [equality[3]!] })
    } else if (presence !== null) {
      requirements.push({ key: presence[2]!, operator: presence[1] === '!' ? 'DoesNotExist' : 'Exists', values: [] })
    } else throw badRequest(`unable to parse requirement: ${JSON.stringify(part)}`)
  }
  return requirements
}

function splitOutsideParentheses(text: string): readonly string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** A LabelSelector object; undefined matches nothing, {} everything. */
export function labelSelectorRequirements(selector: unknown): readonly Requirement[] | undefined {
  if (!isMap(selector)) return undefined
  const requirements: Requirement[] = []
  for (const [key, value] of Object.entries(isMap(selector.matchLabels) ? selector.matchLabels : {}))
    requirements.push({ key, operator: 'In', values: [String(value)] })
  for (const expression of Array.isArray(selector.matchExpressions) ? selector.matchExpressions : []) {
    if (isMap(expression))
      requirements.push({
        key: String(expression.key),
        operator: expression.operator as Requirement['operator'],
        values: Array.isArray(expression.values) ? expression.values.map(String) : [],
      })
  }
  return requirements
}

export function selectsLabels(selector: unknown, labels: Labels): boolean {
  const requirements = labelSelectorRequirements(selector)
  return requirements !== undefined && matchesLabels(requirements, labels)
}

export interface FieldRequirement {
  readonly path: readonly string[]
  readonly equal: boolean
  readonly value: string
}

/** `metadata.name=a,status.phase!=Running` */
export function parseFieldSelector(text: string): readonly FieldRequirement[] {
  return text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const match = /^\s*([^=!\s]+)\s*(==|=|!=)\s*(.*?)\s*$/.exec(part)
      if (match === null) throw badRequest(`invalid field selector: ${JSON.stringify(part)}`)
      return { path: match[1]!.split('.'), equal: match[2] !== '!=', value: match[3]! }
    })
}

export function matchesFields(requirements: readonly FieldRequirement[], object: KubeObject): boolean {
  return requirements.every(({ path, equal, value }) => {
    let at: unknown = object
    for (const step of path) at = isMap(at) ? at[step] : undefined
    return ((at === undefined ? '' : String(at)) === value) === equal
  })
}
