/** The flags of Node in the packed executable; what is measured from the sources has them as well. */

export const NODE_FLAGS: readonly string[] = [
  '--disable-warning=ExperimentalWarning',
  // New objects get 2 MB and not 16: after a load on the gateway 40 to 60 MB less are resident; requests/s are the
  // same.
  '--max-semi-space-size=2',
  // Two threads for V8 and not four: to make and to end each takes 0.1 ms. Two collect 2 MB of new objects as fast as
  // four (a loop that makes and drops objects beside 60 MB that live: 421 ms and 434, CPU 570 and 594, means of 12 in
  // turns).
  '--v8-pool-size=2',
  // No thread that waits for a debugger: none may be started in a process of root's.
  '--disable-sigusr1',
]
