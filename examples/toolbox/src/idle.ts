// Does nothing until it is told to end: the process of a pod in which the client's commands are run. Its image needs no
// shell and no `sleep`, and it ends at once, which a program without a handler as process 1 does not.
setInterval(() => {}, 1 << 30)
process.on('SIGTERM', () => process.exit(0))
