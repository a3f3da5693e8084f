// (next)
export async function buildMissing(): Promise<void> {}
