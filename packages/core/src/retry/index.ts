// Whether to try again, and after how long.
export {
  type AttemptFailure,
  decideRetry,
  type RetryFacts,
  type RetryPolicy,
  type RetryVerdict,
  retryDelayMs,
} from './decide.ts'
