// Ports below 1024, for who may not open them: those of the listeners with an offset added. Pure.

/** The port to open for a listener's. */
export function openPort(port: number, offset: number): number {
  return port < 1024 ? port + offset : port
}
