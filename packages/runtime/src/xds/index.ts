// The client of the configuration stream, and gRPC from protobuf descriptors.
export { AdsClient, type AdsClientOptions } from './client.ts'
export {
  callMetadata,
  callStream,
  callUnary,
  grpcMethodOf,
  grpcServiceOf,
  type MeshChannelOptions,
  meshChannel,
} from './grpc.ts'
export {
  type AdsEvents,
  type AdsNode,
  type AdsResource,
  type AdsType,
  type AdsTypeOptions,
  adsType,
  type DecodedResource,
  type RejectedResource,
} from './types.ts'
