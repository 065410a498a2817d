import type { CelVerdict } from "../cel/expression.js";
import type { CompiledExpression } from "../cel/expression.js";
import type { CompiledArm, CompiledExperiment, CompiledModel } from "../policy/compiled-policy.js";
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

/** An ArmDecision with the arm it is about, for choosing the version. */
export type AssignedArm = { readonly decision: ArmDecision; readonly arm: CompiledArm | null };

/**
 * Puts a request in the arms of a model's experiments, in file order. Each stage draws with its
 * own salt, so being held out, in a slot, and in an arm are independent of each other.
 */
export function assignArms(model: CompiledModel, inputs: AssignmentInputs): readonly AssignedArm[] {
  const overridden = model.experiments.map((experiment) => overriddenArm(experiment, inputs));
  let versionTaken = overridden.some((arm) => arm !== null && arm.version !== null);
  const holdout = holdoutOf(model, inputs);
  const isInSlot = slotsOf();
  return model.experiments.map((experiment, at) => {
    const forced = overridden[at] ?? null;
    if (forced !== null) return outcome(experiment, "override", { arm: forced });
    if (holdout !== null) return outcome(experiment, "holdout", { because: holdout });
    const assigned = assignArm(experiment, inputs, isInSlot, versionTaken);
    if (experiment.choosesVersion && assigned.arm !== null) versionTaken = true;
    return assigned;
  });
}

function assignArm(
  experiment: CompiledExperiment,
  inputs: AssignmentInputs,
  isInSlot: IsInSlot,
  versionTaken: boolean,
): AssignedArm {
  const unit = inputs.unit(experiment.unit);
  if (unit.kind !== "unit") {
    return outcome(experiment, "noUnit", {
      because: unit.kind === "absent" ? "absent" : unit.because,
    });
  }
  if (!isInSlot(experiment, unit.id)) return outcome(experiment, "notInLayerSlot");
  if (experiment.eligibility !== null) {
    const verdict = inputs.evaluate(experiment.eligibility);
    if (verdict !== "yes") {
      return outcome(experiment, "ineligible", verdict === "error" ? { because: "celError" } : {});
    }
  }
  if (experiment.choosesVersion && versionTaken) return outcome(experiment, "versionTaken");
  return drawArm(experiment, unit.id);
}

function drawArm(experiment: CompiledExperiment, unitId: string): AssignedArm {
  if (experiment.totalShare === 0) return outcome(experiment, "outsideShare");
  const bucket = drawBucket(experiment.hash, unitId, experiment.seed, experiment.totalShare);
  const arm = experiment.arms.find(({ from, to }) => bucket >= from && bucket < to) ?? null;
  return outcome(experiment, arm === null ? "outsideShare" : "assigned", { arm, bucket });
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
  for (const { name, unit, share } of model.holdouts) {
    const reading = inputs.unit(unit);
    if (reading.kind === "unit" && bucketOf(reading.id, `holdout:${name}`) < share) return name;
  }
  return null;
}

function overriddenArm(experiment: CompiledExperiment, { override }: AssignmentInputs) {
  const name = override.get(experiment.name);
  if (name === undefined) return null;
  return experiment.arms.find((arm) => arm.name === name) ?? null;
}

function outcome(
  experiment: CompiledExperiment,
  reason: Reason,
  detail: {
    readonly arm?: CompiledArm | null;
    readonly bucket?: number;
    readonly because?: string;
  } = {},
): AssignedArm {
  const { arm = null, bucket = null, because } = detail;
  return {
    arm,
    decision: {
      experiment: experiment.name,
      phase: experiment.phase,
      arm: arm?.name ?? null,
      bucket,
      reason,
      ...(because === undefined ? {} : { because }),
    },
  };
}
