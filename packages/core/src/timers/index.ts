// What timers can do.

/** The longest that a timer of node takes, in milliseconds, some 24 days: it fires a longer one at once. */
export const longestTimerMs = 2 ** 31 - 1
