import type { AssignmentEvent, PredictionEvent } from "../../schema/events.js";

/** One unit in one arm that really was served what the arm says: a row of the analysis. */
export type Exposure = {
  readonly decision: string;
  /** When it was assigned: a retry or a slow answer does not move it. */
  readonly at: string;
  readonly experiment: string;
  readonly phase: number;
  readonly arm: string;
  readonly model: string;
  readonly version: string;
  readonly policy: string;
  /** What the unit is derived from. */
  readonly facts: AssignmentEvent["facts"];
};

export type ExposureCounts = {
  readonly assignments: number;
  readonly predictions: number;
  readonly exposures: number;
  /** Second and later assignments of one decision: a fault, for ids are unique. Not counted again. */
  readonly duplicateAssignments: number;
  /** Decisions with an arm that an override forced: QA traffic, none of whose arms is exposed. */
  readonly overridden: number;
  /** Decisions of which no pod logged a primary prediction. */
  readonly withoutPrediction: number;
  /** Decisions whose every primary prediction was an error. */
  readonly onlyErrors: number;
  /** Decisions that were answered well, but by another version than decided. */
  readonly versionMismatches: number;
  readonly shadowPredictions: number;
  /** Primary predictions whose decision nobody logged. */
  readonly orphanPredictions: number;
  /** Primary predictions of requests that did not pass extproc, or were shed by it. */
  readonly undecidedPredictions: number;
};

/** What is known of one decision. Once `served`, the assignment is let go. */
type Decided = {
  assignment: AssignmentEvent | undefined;
  isAssigned: boolean;
  isServed: boolean;
  primaries: number;
  /** `<model>/<version>` of good answers that came before the assignment, or by others. */
  readonly answeredBy: Set<string>;
};

/**
 * Joins assignments and predictions, which may come in any order, to exposures. A decision exposes
 * once, however many tries answered it: the join is on decisions, so that retries, mirrors, local
 * replies and fallbacks add nothing. Keeps a little per decision until it is dropped.
 */
export class ExposureJoin {
  readonly #decisions = new Map<string, Decided>();
  readonly #counts = {
    assignments: 0,
    predictions: 0,
    exposures: 0,
    duplicateAssignments: 0,
    overridden: 0,
    shadowPredictions: 0,
    undecidedPredictions: 0,
  };

  /** The exposures that this event completes. */
  add(event: AssignmentEvent | PredictionEvent): readonly Exposure[] {
    return "facts" in event ? this.#addAssignment(event) : this.#addPrediction(event);
  }

  finish(): ExposureCounts {
    const left = {
      withoutPrediction: 0,
      onlyErrors: 0,
      versionMismatches: 0,
      orphanPredictions: 0,
    };
    for (const decided of this.#decisions.values()) {
      if (!decided.isAssigned) left.orphanPredictions += decided.primaries;
      else if (decided.primaries === 0) left.withoutPrediction += 1;
      else if (decided.isServed) continue;
      else if (decided.answeredBy.size === 0) left.onlyErrors += 1;
      else left.versionMismatches += 1;
    }
    return { ...this.#counts, ...left };
  }

  #addAssignment(event: AssignmentEvent): readonly Exposure[] {
    this.#counts.assignments += 1;
    const decided = this.#decidedOf(event.decision);
    if (decided.isAssigned) {
      this.#counts.duplicateAssignments += 1;
      return [];
    }
    if (isOverridden(event)) this.#counts.overridden += 1;
    decided.isAssigned = true;
    decided.assignment = event;
    return this.#exposuresOf(decided);
  }

  #addPrediction(event: PredictionEvent): readonly Exposure[] {
    this.#counts.predictions += 1;
    if (event.role === "shadow") {
      this.#counts.shadowPredictions += 1;
      return [];
    }
    if (event.decision === null) {
      this.#counts.undecidedPredictions += 1;
      return [];
    }
    const decided = this.#decidedOf(event.decision);
    decided.primaries += 1;
    if (decided.isServed || event.status < 200 || event.status > 299) return [];
    decided.answeredBy.add(`${event.model}/${event.version}`);
    return this.#exposuresOf(decided);
  }

  #decidedOf(decision: string): Decided {
    let decided = this.#decisions.get(decision);
    if (decided === undefined) {
      decided = {
        assignment: undefined,
        isAssigned: false,
        isServed: false,
        primaries: 0,
        answeredBy: new Set(),
      };
      this.#decisions.set(decision, decided);
    }
    return decided;
  }

  #exposuresOf(decided: Decided): readonly Exposure[] {
    const { assignment } = decided;
    if (assignment === undefined) return [];
    if (!decided.answeredBy.has(`${assignment.model}/${assignment.version}`)) return [];
    decided.isServed = true;
    decided.assignment = undefined;
    decided.answeredBy.clear();
    const exposures = exposedArms(assignment);
    this.#counts.exposures += exposures.length;
    return exposures;
  }
}

const isOverridden = ({ arms }: AssignmentEvent): boolean =>
  arms.some(({ reason }) => reason === "override");

/** Only arms that were drawn and served: a fallback or a holdout has another reason. */
function exposedArms(assignment: AssignmentEvent): readonly Exposure[] {
  if (isOverridden(assignment)) return [];
  const { decision, at, model, version, policy, facts } = assignment;
  return assignment.arms.flatMap(({ experiment, phase, arm, reason }) =>
    reason === "assigned" && arm !== null
      ? [{ decision, at, experiment, phase, arm, model, version, policy, facts }]
      : [],
  );
}
