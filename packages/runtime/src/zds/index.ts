// ZDS (istio.workload.zds): how the node agent hands pods' network namespaces to ztunnel. Ambient wire §3.4.
export { type AddedWorkload, connectZds, type ZdsClient, type ZdsClientOptions } from './client.ts'
export type { ZdsPeer, ZdsWorkload, ZdsWorkloadInfo } from './peer.ts'
export { listenZds, type ZdsServer, type ZdsServerOptions } from './server.ts'
