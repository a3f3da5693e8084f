// Reads a schema of settings from an environment; all mistakes are reported together.
import type { Setting } from './kinds.ts'

export type SettingsSchema = Readonly<Record<string, Setting<unknown>>>

/** The typed result of a schema. */
export type SettingsOf<S extends SettingsSchema> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads every setting of the schema. An empty variable counts as absent.
 * @throws Error naming each missing or unacceptable variable, what was found and what is accepted.
 */
export function readSettings<const S extends SettingsSchema>(env: Environment, schema: S): SettingsOf<S> {
  const result: Record<string, unknown> = {}
  const mistakes: string[] = []
  for (const [key, setting] of Object.entries(schema)) {
    const value = env[setting.name]
    if (value === undefined || value === '') {
      if (setting.fallback) result[key] = setting.fallback.value
      else mistakes.push(`${setting.name} is not set; it must be ${setting.expected}`)
      continue
    }
    const parsed = setting.parse(value)
    if (parsed === undefined) mistakes.push(`${setting.name} is "${value}"; it must be ${setting.expected}`)
    else result[key] = parsed
  }
  if (mistakes.length > 0) throw new Error(`settings: ${mistakes.join('; ')}`)
  return result as SettingsOf<S>
}
