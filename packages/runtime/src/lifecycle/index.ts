// How a program starts, drains and ends, and how retries wait.
export { type Backoff, type BackoffOptions, backoff } from './backoff.ts'
export { delay } from './delay.ts'
export { type InTurnsOptions, inTurns, type Steps, type TurnCost } from './in-turns.ts'
export { inParallel } from './parallel.ts'
export { type ProgramContext, type ProgramOptions, runProgram } from './program.ts'
export { Room } from './room.ts'
