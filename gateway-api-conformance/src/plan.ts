// What a run shall consist of: the features to name and the tests that must pass. Pure.

/** What the suite has, as its own code says. */
export interface Catalogue {
  readonly profiles: readonly Profile[]
  readonly tests: readonly Test[]
}

interface Profile {
  readonly name: string
  readonly core: readonly string[]
  readonly extended: readonly string[]
}

interface Test {
  readonly name: string
  /** All must be supported for the test to run. */
  readonly features: readonly string[]
}

export interface Plan {
  /** For --supported-features. */
  readonly features: readonly string[]
  /** Names of the tests that must pass. */
  readonly wanted: readonly string[]
  /** Those of `wanted` that the suite will skip, each with the features that we do not support. */
  readonly missing: ReadonlyMap<string, readonly string[]>
}

/**
 * Wanted are the tests of the profiles and those outside of every profile (they fail the run just as well) that are
 * about the kinds of the profiles. `supported`: all features that the controller says it has. Throws when a name is
 * unknown.
 */
export function planProfiles(catalogue: Catalogue, supported: readonly string[], asked: readonly string[]): Plan {
  const profiles = asked.map((name) => {
    const found = catalogue.profiles.find((profile) => profile.name === name)
    if (found) return found
    throw new Error(
      `there is no profile ${name}; there are ${catalogue.profiles.map((known) => known.name).join(', ')}`,
    )
  })
  // Gateway, Mesh and the kinds of routes. One that no profile asks for must not bring its tests and base objects.
  const kinds = new Set(catalogue.profiles.flatMap((profile) => profile.core))
  const askedKinds = new Set(profiles.flatMap((profile) => profile.core))
  const isInScope = (feature: string): boolean => !kinds.has(feature) || askedKinds.has(feature)
  const wanted = catalogue.tests.filter((test) => {
    const owners = catalogue.profiles.filter((profile) => belongs(test, profile))
    if (owners.length > 0) return owners.some((owner) => profiles.includes(owner))
    return test.features.every(isInScope)
  })
  const features = new Set([...supported.filter(isInScope), ...askedKinds])
  const needed = new Set(wanted.flatMap((test) => test.features))
  const missing = new Map<string, readonly string[]>()
  for (const { name, features: all } of wanted) {
    const absent = all.filter((feature) => !features.has(feature))
    if (absent.length > 0) missing.set(name, absent)
  }
  // Without a Gateway among the kinds its extended features would only bring tests of the other side.
  const named = askedKinds.has('Gateway') ? features : features.intersection(needed.union(extendedOf(profiles)))
  return { features: [...named].sort(), wanted: wanted.map((test) => test.name), missing }
}

/** For single tests: they run whether or not their features are supported. */
export function planTests(catalogue: Catalogue, asked: readonly string[]): Plan {
  const tests = asked.map((name) => {
    const found = catalogue.tests.find((test) => test.name === name)
    if (found) return found
    const near = catalogue.tests.filter((test) => test.name.toLowerCase().includes(name.toLowerCase()))
    const hint = near.length > 0 ? `; did you mean ${near.map((test) => test.name).join(' or ')}?` : ''
    throw new Error(`there is no test ${name}${hint}`)
  })
  const features = [...new Set(tests.flatMap((test) => test.features))].sort()
  return { features, wanted: asked, missing: new Map() }
}

/** As the suite decides it: every feature of the test is one of the profile's. */
function belongs(test: Test, profile: Profile): boolean {
  return test.features.every((feature) => profile.core.includes(feature) || profile.extended.includes(feature))
}

function extendedOf(profiles: readonly Profile[]): ReadonlySet<string> {
  return new Set(profiles.flatMap((profile) => profile.extended))
}
