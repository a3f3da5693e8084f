// The dependency rules of ARCHITECTURE.md, each with its reason.
const program = (name) => `^packages/${name}/`
const pure = [
  '^packages/core/src/',
  '^packages/controller/src/translate/',
  '^packages/controller/src/encode/',
  '^packages/ztunnel/src/decide/',
  '^packages/ztunnel/src/state/',
  '^packages/waypoint/src/compile/',
]
const siblings = ['controller', 'node', 'ztunnel', 'waypoint', 'machine']
module.exports = {
  forbidden: [
    {
      name: 'no-io-in-pure-code',
      comment: 'Decisions are functions of data: no sockets, files, clocks, loggers.',
      severity: 'error',
      from: { path: pure, pathNot: '\\.test\\.ts$' },
      to: { path: ['^packages/runtime/', 'node_modules/(pino|undici|fastify|@grpc|prom-client)'] },
    },
    {
      name: 'no-node-in-pure-code',
      comment: 'The only node: module that pure code may use is node:crypto, for content hashes.',
      severity: 'error',
      from: { path: pure, pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?crypto$' },
    },
    ...siblings.map((name) => ({
      name: `no-siblings-of-${name}`,
      comment: 'The programs share only proto, core and runtime.',
      severity: 'error',
      from: { path: program(name) },
      to: { path: siblings.filter((other) => other !== name).map(program) },
    })),
    {
      name: 'layers',
      comment: 'proto <- core <- runtime <- programs <- cli, testing.',
      severity: 'error',
      from: { path: program('core') },
      to: { path: '^packages/(?!core|proto)' },
    },
    {
      name: 'proto-is-a-leaf',
      severity: 'error',
      from: { path: program('proto') },
      to: { path: '^packages/(?!proto)' },
    },
    {
      name: 'runtime-below-programs',
      severity: 'error',
      from: { path: program('runtime') },
      to: { path: '^packages/(?!runtime|core|proto)' },
    },
    {
      name: 'testing-in-tests-only',
      severity: 'error',
      from: { path: '^packages/', pathNot: ['\\.test\\.ts$', '^packages/[^/]+/test/', '^packages/testing/'] },
      to: { path: program('testing') },
    },
    {
      name: 'one-ffi',
      comment: 'Everything that calls libc directly is in one file.',
      severity: 'error',
      from: { path: '^packages/', pathNot: '^packages/runtime/src/os/libc\\.ts$' },
      to: { path: '^(node:)?ffi$' },
    },
    {
      name: 'no-kubernetes-in-the-data-plane',
      severity: 'error',
      from: { path: ['^packages/ztunnel/', '^packages/waypoint/'] },
      to: { path: 'node_modules/@kubernetes' },
    },
    {
      name: 'layers-of-the-api-server',
      comment: 'objects <- kinds, access <- http.',
      severity: 'error',
      from: { path: '^packages/machine/src/api/objects/' },
      to: { path: '^packages/machine/src/api/(kinds|access|http)/' },
    },
    {
      name: 'layers-of-the-api-server-below-http',
      severity: 'error',
      from: { path: '^packages/machine/src/api/(kinds|access)/' },
      to: { path: '^packages/machine/src/api/http/' },
    },
    {
      name: 'no-cycles',
      comment: 'Of types neither: what two files need of each other belongs in a third.',
      severity: 'error',
      from: { pathNot: 'node_modules' },
      to: { circular: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(/gen/|\\.test\\.ts$)' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.mjs', '.js', '.cjs', '.json'],
    },
  },
}
