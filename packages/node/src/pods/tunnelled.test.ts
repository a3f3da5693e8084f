import { expect, test } from 'vitest'
import { carried, parseSocketTable } from './tunnelled.ts'

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:3A99 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:3A99 0500000A:D431 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0900000A:C350 0500000A:1F90 01 00000000:00000000 00:00000000 00000000     0        0 3
   3: 0500000A:1F90 0900000A:C350 01 00000000:00000000 00:00000000 00000000     0        0 4
   4: 0500000A:3AA0 0900000A:C351 01 00000000:00000000 00:00000000 00000000     0        0 5
   5: 0500000A:3A9E 0900000A:C352 06 00000000:00000000 00:00000000 00000000     0        0 6
`
const table6 = `  sl  local_address                         remote_address                        st
   0: 0000000000000000FFFF00000500000A:3A9E 0000000000000000FFFF00000900000A:C353 01 0
   1: 000000FD000000000000000009000000:C350 000000FD000000000000000005000000:1F90 01 0
`

test('reads addresses of both families, mapped ones as IPv4', () => {
  expect(parseSocketTable(table)[1]).toEqual({
    localIp: '127.0.0.1',
    localPort: 15001,
    remoteIp: '10.0.0.5',
    listening: false,
  })
  expect(parseSocketTable(table6)[0]).toMatchObject({ localIp: '10.0.0.5', localPort: 15006 })
  expect(parseSocketTable(table6)[1]).toMatchObject({ localIp: 'fd00::9', remoteIp: 'fd00::5', localPort: 50000 })
})

test("counts captured connections and those in a client's name; not listeners, tunnels, the ends of the application, or what has ended", () => {
  expect(carried(parseSocketTable(table), ['10.0.0.5']).map((row) => row.localPort)).toEqual([15001, 50000])
  expect(carried(parseSocketTable(table6), ['10.0.0.5', 'fd00::5']).map((row) => row.localPort)).toEqual([15006, 50000])
})

test('survives lines that are cut', () => {
  expect(parseSocketTable('head\n 0: 0100007F:1F90\n\n')).toEqual([])
})
