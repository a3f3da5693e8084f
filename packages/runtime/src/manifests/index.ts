// Reading manifests (YAML or JSON) as people write them. Applying them is the caller's.
export {
  describe,
  type FileContent,
  identity,
  type Loaded,
  type Mistake,
  readPath,
  readText,
  withoutDuplicates,
} from './read.ts'
