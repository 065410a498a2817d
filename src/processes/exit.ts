/** Exit codes, from sysexits.h; scripts depend on them. */
export const EXIT = {
  ok: 0,
  /** Something to look at: a replay that differs. */
  differs: 1,
  /** EX_USAGE here: bad configuration, bad input. */
  badConfiguration: 64,
  /** EX_UNAVAILABLE: a dependency is not there. */
  unavailable: 69,
  /** EX_SOFTWARE */
  internal: 70,
} as const;

/** Ends the process with a message and a code; the CLI catches it. */
export class ExitError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.name = "ExitError";
    this.code = code;
  }
}
