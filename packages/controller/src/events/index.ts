// Events, from what is wrong to the API.
export { EventWriter } from './writer.ts'
