// Infrastructure, from wanted objects to the API.
export { Deployer, managedByLabel, managedByValue } from './deployer.ts'
