// What a filter of one's own may use of the waypoint: the types of `request.wishbone`. main.ts is the program.
export type { RequestContext } from './pipeline/context.ts'
