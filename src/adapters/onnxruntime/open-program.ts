import { pathToFileURL } from "node:url";
import { ServiceError } from "../../core/error.js";
import { invariant } from "../../core/invariant.js";
import { fitsShape } from "../../core/serving/check-inputs.js";
import { describeTensor } from "../../core/serving/model-spec.js";
import type { TensorSpec } from "../../core/serving/model-spec.js";
import type { Tensor } from "../../core/serving/tensor.js";
import { blame, checkedTensors } from "./model-pipeline.js";
import type { NamedTensors, PipelineContext } from "./model-pipeline.js";
import type { Opened } from "./open-session.js";
import { servedSpecs } from "./served-specs.js";
import type { SessionDefinition } from "./worker-messages.js";

/** The module that a model.yaml names as `program`. It runs in the worker of the session. */
type ProgramModule = {
  /** The inputs of a batch in, its outputs out. What it throws is the fault of its inputs. */
  run(inputs: NamedTensors, context: PipelineContext): NamedTensors | Promise<NamedTensors>;
};

/** Loads a module that stands in for a model file: what it takes and gives is what model.yaml says. */
export async function openProgram(definition: SessionDefinition): Promise<Opened> {
  const { modelFile: file, model, version, versionDirectory, labels } = definition;
  const { declaredInputs, declaredOutputs } = definition;
  const isDeclared = declaredInputs !== undefined && declaredOutputs !== undefined;
  invariant(isDeclared, "the schema makes a program say what it takes and gives");
  const specs = servedSpecs(definition, { inputs: declaredInputs, outputs: declaredOutputs });
  const { run } = (await import(pathToFileURL(file).href)) as Partial<ProgramModule>;
  if (typeof run !== "function") throw new Error(`${file} exports no function run`);
  const context = { model, version, versionDirectory, labels };
  const compute: Opened["compute"] = async (inputs) => {
    const outputs = await blame("badRequest", "the model's program refused its inputs", () =>
      run(Object.fromEntries(inputs), context),
    );
    return outputsOf(file, specs.outputs, checkedTensors(file, "run", outputs));
  };
  return { ...specs, compute };
}

/** What was declared, and nothing else. */
function outputsOf(
  file: string,
  specs: readonly TensorSpec[],
  outputs: ReadonlyMap<string, Tensor>,
): ReadonlyMap<string, Tensor> {
  return new Map(
    specs.map(({ name, datatype, shape }) => {
      const tensor = outputs.get(name);
      if (tensor?.datatype === datatype && fitsShape(tensor.shape, shape)) return [name, tensor];
      const wanted = describeTensor({ name, datatype, shape });
      const got =
        tensor === undefined
          ? "nothing"
          : `${tensor.datatype} [${tensor.shape.join(",")}] of that name`;
      throw new ServiceError("internal", `run of ${file} must return ${wanted}, and gave ${got}`);
    }),
  );
}
