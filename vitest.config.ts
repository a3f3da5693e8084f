import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'packages/*/test/**/*.test.ts',
            'examples/*/src/**/*.test.ts',
            'gateway-api-conformance/src/**/*.test.ts',
            'tools/**/*.test.ts',
          ],
          exclude: ['**/node_modules/**', '**/*.world.test.ts', '**/*.root.test.ts'],
        },
      },
      {
        // Tests that need namespaces of their own; one file after another.
        test: {
          name: 'namespaces',
          include: ['packages/*/{src,test}/**/*.root.test.ts'],
          fileParallelism: false,
          testTimeout: 30_000,
        },
      },
      {
        // The real programs on packages/machine; one world after another.
        test: {
          name: 'worlds',
          include: ['packages/*/{src,test}/**/*.world.test.ts', 'examples/**/*.world.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
