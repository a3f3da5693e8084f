// The cluster on one machine, as others may use it: from outside its sandbox.
export { type Relay, startRelay } from './relay.ts'
export {
  type IpFamilies,
  type MachineEvent,
  type MachineSettings,
  type Sandbox,
  type SandboxOptions,
  sandboxObstacle,
  startSandbox,
} from './sandbox.ts'
