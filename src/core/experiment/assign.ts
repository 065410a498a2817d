import type { CelVerdict } from "../cel/expression.js";
import type { CompiledExpression } from "../cel/expression.js";
import type {
  CompiledArm,
  CompiledExperiment,
  CompiledModel,
  CompiledVersion,
} from "../policy/compiled-policy.js";
import type { ArmDecision, Reason } from "../routing/decision.js";
import { bucketOf, drawBucket } from "./bucket.js";
import type { UnitReading } from "./unit-id.js";

/** What an assignment may look at besides the experiment. */
export type AssignmentInputs = {
  readonly unit: (name: string) => UnitReading;
  readonly evaluate: (expression: CompiledExpression) => CelVerdict;
  /** experiment -> arm, verified. */
  readonly override: ReadonlyMap<string, string>;
};

export type Assigned = {
  /** In the order of the model's experiments. */
  readonly arms: readonly ArmDecision[];
  /** The arm that chooses the version; null: none does. */
  readonly choice: VersionChoice | null;
};

export type VersionChoice = {
  readonly version: CompiledVersion;
  readonly reason: Reason;
  /** Index of the experiment. */
  readonly by: number;
};

/**
 * Puts a request in the arms of a model's experiments, in file order. Each stage draws with its
 * own salt, so being held out, in a slot, and in an arm are independent of each other.
 */
export function assignArms(model: CompiledModel, inputs: AssignmentInputs): Assigned {
  const forced = inputs.override.size === 0 ? NONE_FORCED : forcedArms(model, inputs.override);
  // An override comes before a draw, also before one of an earlier experiment.
  let choice = choiceOf(forced);
  let versionTaken = choice !== null;
  const holdout = holdoutOf(model, inputs);
  const isInSlot = slotsOf();
  const arms = model.experiments.map((experiment, at) => {
    const arm = forced[at];
    if (arm != null) return inArm(experiment, arm, null, "override");
    if (holdout !== null) return outside(experiment, "holdout", holdout);
    const decision = assignArm(experiment, inputs, isInSlot, versionTaken);
    if (!versionTaken && experiment.choosesVersion && decision.arm !== null) {
      versionTaken = true;
      choice = choiceOf([armNamed(experiment, decision.arm)], at, decision.reason);
    }
    return decision;
  });
  return { arms, choice };
}

type ForcedArms = readonly (CompiledArm | null)[];
const NONE_FORCED: ForcedArms = [];

function forcedArms(model: CompiledModel, override: AssignmentInputs["override"]): ForcedArms {
  return model.experiments.map((experiment) => armNamed(experiment, override.get(experiment.name)));
}

const armNamed = ({ arms }: CompiledExperiment, name: string | undefined) =>
  name === undefined ? null : (arms.find((arm) => arm.name === name) ?? null);

/** Of the first arm that names a version. */
function choiceOf(arms: ForcedArms, from = 0, reason: Reason = "override"): VersionChoice | null {
  const at = arms.findIndex((arm) => arm !== null && arm.version !== null);
  const version = arms[at]?.version ?? null;
  return version === null ? null : { version, reason, by: from + at };
}

function assignArm(
  experiment: CompiledExperiment,
  inputs: AssignmentInputs,
  isInSlot: IsInSlot,
  versionTaken: boolean,
): ArmDecision {
  const unit = inputs.unit(experiment.unit);
  if (unit.kind !== "unit") {
    return outside(experiment, "noUnit", unit.kind === "absent" ? "absent" : unit.because);
  }
  const { unassigned, eligibility } = experiment;
  if (!isInSlot(experiment, unit.id)) return unassigned.notInLayerSlot;
  if (eligibility !== null) {
    const verdict = inputs.evaluate(eligibility);
    if (verdict === "error") return outside(experiment, "ineligible", "celError");
    if (verdict !== "yes") return unassigned.ineligible;
  }
  if (experiment.choosesVersion && versionTaken) return unassigned.versionTaken;
  return drawArm(experiment, unit.id);
}

function drawArm(experiment: CompiledExperiment, unitId: string): ArmDecision {
  if (experiment.totalShare === 0) return outsideShare(experiment, null);
  const bucket = drawBucket(experiment.hash, unitId, experiment.seed, experiment.totalShare);
  const arm = experiment.arms.find(({ from, to }) => bucket >= from && bucket < to);
  return arm === undefined
    ? outsideShare(experiment, bucket)
    : inArm(experiment, arm, bucket, "assigned");
}

type IsInSlot = (experiment: CompiledExperiment, unitId: string) => boolean;

/** Of one request. A layer draws by one unit, so each is drawn once for all of its experiments. */
function slotsOf(): IsInSlot {
  const drawn = new Map<string, number>();
  return ({ layer }, unitId) => {
    if (layer === null) return true;
    let slot = drawn.get(layer.salt);
    if (slot === undefined) {
      slot = bucketOf(unitId, layer.salt);
      drawn.set(layer.salt, slot);
    }
    for (const [from, to] of layer.slots) if (slot >= from && slot < to) return true;
    return false;
  };
}

/** Name of the first holdout that keeps this request out of every experiment of the model. */
function holdoutOf(model: CompiledModel, inputs: AssignmentInputs): string | null {
  for (const { name, unit, share, salt } of model.holdouts) {
    const reading = inputs.unit(unit);
    if (reading.kind === "unit" && bucketOf(reading.id, salt) < share) return name;
  }
  return null;
}

const inArm = (
  { name, phase }: CompiledExperiment,
  arm: CompiledArm,
  bucket: number | null,
  reason: Reason,
): ArmDecision => ({ experiment: name, phase, arm: arm.name, bucket, reason });

const outside = (
  { name, phase }: CompiledExperiment,
  reason: Reason,
  because: string,
): ArmDecision => ({ experiment: name, phase, arm: null, bucket: null, reason, because });

const outsideShare = ({ name, phase }: CompiledExperiment, bucket: number | null): ArmDecision => ({
  experiment: name,
  phase,
  arm: null,
  bucket,
  reason: "outsideShare",
});

/** The decisions of an experiment that are the same for every request; made once. */
export function unassignedOf(experiment: string, phase: number): CompiledExperiment["unassigned"] {
  const by = (reason: Reason) => ({ experiment, phase, arm: null, bucket: null, reason });
  return {
    notInLayerSlot: by("notInLayerSlot"),
    ineligible: by("ineligible"),
    versionTaken: by("versionTaken"),
  };
}
