// Every Kubernetes kind that the controller reads or writes, typed.
export type * from './core.ts'
export type * from './gen/index.ts'
