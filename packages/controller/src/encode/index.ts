// From the mesh to resources: bytes, content-hash versions, aliases; and what one client may see.
export { encode } from './encode.ts'
export { view } from './view.ts'
