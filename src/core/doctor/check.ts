import type { Mesh } from "./mesh.js";
import type { Node } from "./node.js";

/**
 * error: requests fail, or experiments are invalid. warning: they will be when something else goes
 * wrong, or more is paid or told than need be.
 */
export type Severity = "error" | "warning";

/** One thing that an expert of Istio would look for. */
export type Check = {
  /** Stable: scripts and docs/doctor.md name it. */
  readonly id: string;
  readonly severity: Severity;
  /** What is looked for, in words for the documentation. */
  readonly looksFor: string;
  readonly why: string;
  readonly fix: string;
  readonly find: (mesh: Mesh) => readonly Suspect[];
};

/** A place where a check found what it looks for. */
export type Suspect = { readonly at: Node; readonly what: string };
