// Infrastructure, from wanted objects to the API.
export { managedByLabel } from '../translate/index.ts'
export { Deployer, managedByValue } from './deployer.ts'
