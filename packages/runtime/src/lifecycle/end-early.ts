/** The end of a program that has begun nothing yet; 143: by SIGTERM. `runProgram` takes over from it. */
export function endEarly(): void {
  process.exit(143)
}
