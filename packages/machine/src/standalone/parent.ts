// Loaded before a program that `wishbone gateway` runs: whoever started it holds the other end of standard input, and when
// that is gone, killed without a word even, the program stops as for SIGTERM.
process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM'))
process.stdin.on('error', () => {})
process.stdin.resume()
;(process.stdin as { unref?: () => void }).unref?.()
