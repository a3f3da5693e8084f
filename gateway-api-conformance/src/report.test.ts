import { expect, test } from 'vitest'
import { differences, lostProfiles, type Report, totals } from './report.ts'

const outcome = { result: 'success', statistics: { Passed: 7, Failed: 0, Skipped: 0 } }
const report: Report = {
  gatewayAPIVersion: 'v1.7.0',
  gatewayAPIChannel: 'standard',
  profiles: [
    { name: 'MESH-HTTP', core: outcome, extended: { ...outcome, supportedFeatures: ['MeshConsumerRoute'] } },
    { name: 'MESH-GRPC', core: { ...outcome, statistics: { ...outcome.statistics, Passed: 3 } } },
  ],
}

test('equal reports differ in nothing', () => {
  expect(differences(report, report)).toEqual([])
})

test('a lost test and a lost feature are named', () => {
  const run: Report = {
    ...report,
    profiles: [
      {
        name: 'MESH-HTTP',
        core: { ...outcome, statistics: { Passed: 6, Failed: 0, Skipped: 1 } },
        extended: { ...outcome, supportedFeatures: [] },
      },
    ],
  }
  expect(differences(run, report)).toEqual([
    'MESH-HTTP core statistics {"Passed":6,"Failed":0,"Skipped":1}, committed {"Passed":7,"Failed":0,"Skipped":0}',
    'MESH-HTTP extended supportedFeatures [], committed ["MeshConsumerRoute"]',
  ])
  expect(lostProfiles(run, report)).toEqual(['MESH-GRPC'])
})

test('a profile that was never committed differs', () => {
  expect(differences(report, { ...report, profiles: [] })).toHaveLength(7)
})

test('totals are a line a profile', () => {
  expect(totals(report)).toEqual([
    'MESH-HTTP     core 7 passed, 0 failed, 0 skipped; extended 7 passed, 0 failed, 0 skipped',
    'MESH-GRPC     core 3 passed, 0 failed, 0 skipped',
  ])
})
