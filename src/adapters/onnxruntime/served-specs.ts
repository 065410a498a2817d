import { fitsShape } from "../../core/serving/check-inputs.js";
import { describeTensor } from "../../core/serving/model-spec.js";
import type { TensorSpec, TensorSpecs } from "../../core/serving/model-spec.js";
import { splitStates } from "../../core/serving/sequence.js";
import type { SessionDefinition } from "./worker-messages.js";

/** What model.yaml declares, if it fits the model file; what it leaves out, as the file says. */
export function servedSpecs(definition: SessionDefinition, actual: TensorSpecs): TensorSpecs {
  const { declaredInputs, declaredOutputs, maxBatchSize } = definition;
  const inputs = declared("inputs", declaredInputs, actual.inputs);
  const outputs = declared("outputs", declaredOutputs, actual.outputs);
  if (inputs.length < actual.inputs.length) {
    throw new Error(`inputs of model.yaml must list all of ${namesOf(actual.inputs)}`);
  }
  checkPadding(definition, { inputs, outputs });
  if (definition.sequence !== undefined) splitStates(definition.sequence, { inputs, outputs });
  if (maxBatchSize === 1) return { inputs, outputs };
  for (const { name, shape } of [...inputs, ...outputs]) {
    if (shape[0] === -1) continue;
    throw new Error(
      `maxBatchSize is ${maxBatchSize}, but ${name} has shape [${shape.join(",")}]: its first axis must be of any size (-1)`,
    );
  }
  return { inputs, outputs };
}

/** What is padded must be there, and of any size. */
function checkPadding({ padding, maxBatchSize }: SessionDefinition, specs: TensorSpecs): void {
  if (padding === undefined) return;
  if (maxBatchSize === 1) throw new Error("padding needs a maxBatchSize over 1");
  for (const what of ["inputs", "outputs"] as const) {
    for (const { name, axis } of padding[what]) {
      const found = specs[what].find((each) => each.name === name);
      if (found?.shape[axis] === -1) continue;
      const has = found === undefined ? namesOf(specs[what]) : describeTensor(found);
      throw new Error(
        `padding.${what} of model.yaml names axis ${axis} of ${name}, which must be of any size (-1); the model has ${has}`,
      );
    }
  }
}

function declared(
  what: string,
  wanted: readonly TensorSpec[] | undefined,
  actual: readonly TensorSpec[],
): readonly TensorSpec[] {
  for (const { name, datatype, shape } of wanted ?? []) {
    const found = actual.find((each) => each.name === name);
    const fits = found?.datatype === datatype && fitsShape(shape, found.shape);
    if (fits) continue;
    const has = found === undefined ? namesOf(actual) : describeTensor(found);
    throw new Error(
      `${what} of model.yaml say ${describeTensor({ name, datatype, shape })}, the model file has ${has}`,
    );
  }
  return wanted ?? actual;
}

const namesOf = (specs: readonly TensorSpec[]) => specs.map(({ name }) => name).join(", ");
