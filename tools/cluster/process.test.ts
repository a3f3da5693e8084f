import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { isAlive, parseProcessRecord, parseStat } from './process.ts'

const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
const { startTime } = parseStat(readFileSync('/proc/self/stat', 'utf8'))

describe('processes', () => {
  test('/proc/PID/stat, whatever the name of the program', () => {
    const rest = `S 17 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0`
    for (const name of ['sh', 'a b', 'x) S 1 (y'])
      expect(parseStat(`42 (${name}) ${rest}`)).toEqual({ state: 'S', parent: 17, startTime: '4711' })
  })

  test('a record that was written half is none', () => {
    expect(parseProcessRecord(`12 34 ${bootId}\n`)).toEqual({ pid: 12, startTime: '34', bootId })
    for (const text of ['', '12', '12 34', `12 34 ${bootId}`, `x 34 ${bootId}\n`])
      expect(parseProcessRecord(text)).toBeUndefined()
  })

  test('a process id that another process got, or that is from before a reboot, is not ours', () => {
    expect(isAlive({ pid: process.pid, startTime, bootId })).toBe(true)
    expect(isAlive({ pid: process.pid, startTime: `${Number(startTime) - 1}`, bootId })).toBe(false)
    expect(isAlive({ pid: process.pid, startTime, bootId: '0' })).toBe(false)
    expect(isAlive(undefined)).toBe(false)
  })
})
