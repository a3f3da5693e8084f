// Mutual TLS 1.3 between mesh peers (ambient wire §1.7).
export { type AcceptTlsOptions, acceptTls } from './accept.ts'
export { type ConnectTlsOptions, connectTls } from './connect.ts'
export { Handshakes } from './handshakes.ts'
export { peerIdentity, peerUris } from './peer.ts'
export { chainError } from './verify.ts'
