// What the decisions read: the mesh's state and the random choices.
export { createPick, type Pick } from './pick.ts'
export type { MeshView } from './view.ts'
