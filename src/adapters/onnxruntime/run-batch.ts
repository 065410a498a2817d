import type { ModelInput } from "../../app/model-ports.js";
import { stack, unstack } from "../../core/serving/stack.js";
import { cropAxis, padAxis } from "../../core/serving/padding.js";
import type { Tensor } from "../../core/serving/tensor.js";
import type { Padding } from "../../schema/model-manifest.js";
import { invariant } from "../../core/invariant.js";
import { ServiceError } from "../../core/error.js";
import type { Pipeline } from "./model-pipeline.js";

type Tensors = ReadonlyMap<string, Tensor>;

/** One run of a model: its inputs in, its outputs out. */
export type Compute = (inputs: Tensors) => Promise<Tensors>;

export type BatchParts = {
  readonly compute: Compute;
  readonly pipeline: Pipeline | undefined;
  readonly padding: Padding | undefined;
  /** False: the model's first axis is no batch, and inputs come one at a time. */
  readonly batches: boolean;
};

/** Runs the inputs together in one run of the model; answers in their order. */
export async function runBatch(
  { compute, pipeline, padding, batches }: BatchParts,
  inputs: readonly ModelInput[],
): Promise<readonly Tensors[]> {
  const given = await Promise.all(inputs.map((input) => tensorsOf(input, pipeline)));
  const items = padding === undefined || given.length === 1 ? given : padded(given, padding);
  const feeds = [...(items[0]?.keys() ?? [])].map(
    (name) => [name, stack(items.map((item) => tensorOf(item, name)))] as const,
  );
  const results = await compute(new Map(feeds));
  const sizes = batches ? items.map(sizeOf) : undefined;
  invariant(batches || items.length === 1, "a model that does not batch runs one request");
  const outputs = items.map(() => new Map<string, Tensor>());
  for (const [name, tensor] of results) {
    const parts = sizes === undefined ? [tensor] : unstack(tensor, sizes);
    outputs.forEach((output, index) => output.set(name, tensorAt(parts, index)));
  }
  if (items !== given && padding !== undefined) crop(outputs, given, items, padding);
  return Promise.all(outputs.map((output, index) => answerOf(output, inputs[index], pipeline)));
}

/** All of them as long as the longest. */
function padded(items: readonly Tensors[], { inputs }: Padding): readonly Tensors[] {
  const longer = items.map((item) => new Map(item));
  for (const { name, axis, value } of inputs) {
    const size = Math.max(...items.map((item) => item.get(name)?.shape[axis] ?? 0));
    for (const item of longer) {
      const tensor = item.get(name);
      if (tensor !== undefined) item.set(name, padAxis(tensor, axis, size, value));
    }
  }
  return longer;
}

/** Cuts what the padding added to the outputs. */
function crop(
  outputs: readonly Map<string, Tensor>[],
  given: readonly Tensors[],
  items: readonly Tensors[],
  padding: Padding,
): void {
  const [first] = padding.inputs;
  if (first === undefined) return;
  const sizeIn = (item: Tensors | undefined) => item?.get(first.name)?.shape[first.axis] ?? 1;
  outputs.forEach((output, index) => {
    const share = sizeIn(given[index]) / sizeIn(items[index]);
    for (const { name, axis } of padding.outputs) {
      const tensor = output.get(name);
      const size = Math.ceil((tensor?.shape[axis] ?? 0) * share);
      if (tensor !== undefined) output.set(name, cropAxis(tensor, axis, size));
    }
  });
}

async function tensorsOf(input: ModelInput, pipeline: Pipeline | undefined): Promise<Tensors> {
  if (input.kind === "tensors") return input.tensors;
  invariant(pipeline !== undefined, "only a model with a pipeline takes a plain body");
  return pipeline.before(input.body);
}

async function answerOf(
  output: Tensors,
  input: ModelInput | undefined,
  pipeline: Pipeline | undefined,
): Promise<Tensors> {
  return input?.kind === "raw" && pipeline !== undefined
    ? pipeline.after(output, input.body)
    : output;
}

function tensorOf(item: Tensors, name: string): Tensor {
  const tensor = item.get(name);
  if (tensor !== undefined) return tensor;
  throw new ServiceError("internal", `the pipeline gave no input ${name}`);
}

function tensorAt(parts: readonly Tensor[], index: number): Tensor {
  const part = parts[index];
  invariant(part !== undefined, "each request has its part of the batch");
  return part;
}

/** Rows of a request: inputs were checked to agree in their first axis. */
function sizeOf(item: Tensors): number {
  const [first] = item.values();
  return first?.shape[0] ?? 1;
}
