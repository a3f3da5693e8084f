// Typed settings from environment variables, with errors that name the variable, the value and what is accepted.

export { type CommonSettings, readCommonSettings } from './common.ts'
export { bool, duration, integer, oneOf, optional, type Setting, seconds, text } from './kinds.ts'
export { readSettings, type SettingsOf, type SettingsSchema } from './read.ts'
