// Loaded before a program's own modules (node --import). The first process of a container gets only signals that it has asked for,
// and loading may take a second: a pod that is deleted meanwhile would not hear of it, and stay until its grace is over.
import { endEarly } from './end-early.ts'

process.on('SIGTERM', endEarly)
