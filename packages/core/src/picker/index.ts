// Which endpoint gets the next request.

export { EndpointLoad } from './load.ts'
export { createPicker, type Picker, type PickerEntry } from './picker.ts'
