// Structured logs: one line per event on standard output, JSON or text, written once per turn of the event loop.

export { type Fields, type LogFormat, type LogLevel, logLevels, withoutControls } from './format.ts'
export { createLogger, type Logger, type LoggerOptions } from './logger.ts'
export { Repeats, type RepeatsOptions } from './repeats.ts'
export { createSink, type Sink } from './sink.ts'
