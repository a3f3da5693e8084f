// Errors of system calls, in the form of Node's own: code ("ECONNREFUSED"), errno (negative), syscall.
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'

function nameOf(errno: number): string {
  try {
    return getSystemErrorName(-errno)
  } catch {
    return `errno ${errno}`
  }
}

function textOf(errno: number): string {
  try {
    return getSystemErrorMessage(-errno) ?? 'unknown error'
  } catch {
    return 'unknown error'
  }
}

/** A failed system call: what was tried, on what, and the system's reason. */
export class OsError extends Error {
  readonly code: string
  readonly errno: number
  readonly syscall: string

  /** @param errno positive, as the system gives it */
  constructor(errno: number, syscall: string, about: string, detail?: string) {
    const code = nameOf(errno)
    super(`${syscall} ${about}: ${detail ? `${detail}, ` : ''}${textOf(errno)} (${code})`)
    this.name = 'OsError'
    this.code = code
    this.errno = -errno
    this.syscall = syscall
  }
}
