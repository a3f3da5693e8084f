// The secure overlay of one node (L4). main.ts is the program; decide/ holds its decisions.
export * from './decide/index.ts'
