// The small HTTP servers of every program: metrics (15020), readiness (15021), admin on localhost (15000).
export { type AdminOptions, type AdminReply, type AdminRequest, type AdminRoutes, startAdmin } from './admin.ts'
export { logLevelRoute } from './log-level.ts'
export type { StartedServer } from './server.ts'
export { type StatusOptions, type StatusServers, startStatusServers } from './status.ts'
