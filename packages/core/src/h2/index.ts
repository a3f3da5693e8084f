// HTTP/2 pieces without a socket: frames (RFC 9113) and header compression (RFC 7541).
export { errorCodes, flags, frameHeaderLength, frameTypes, preface, settingIds } from './constants.ts'
export {
  encodeFrame,
  encodeFrameHeader,
  encodeGoaway,
  encodePing,
  encodeRstStream,
  encodeSettings,
  encodeWindowUpdate,
} from './encode.ts'
export { H2Error, type H2ErrorScope } from './error.ts'
export { HpackDecoder, type HpackDecoderOptions } from './hpack/decoder.ts'
export { dynamicTableOff, encodeHeaders } from './hpack/encoder.ts'
export { FieldCheck, type FieldFault } from './hpack/field-check.ts'
export type { HeaderField } from './hpack/table.ts'
export { type FrameHandler, FrameParser, type FrameParserOptions } from './parser.ts'
export { type Goaway, HeaderBlockAssembler, headerBlockOf, parseGoaway, parseSettings, parseUint32 } from './payload.ts'
