import type { Datatype } from "../../schema/model-manifest.js";
import type { ModelSpec, TensorSpec } from "./model-spec.js";

/** How a version is served, as far as its configuration says. */
export type ServedSettings = {
  readonly spec: ModelSpec;
  readonly maxQueueDelayMs: number;
  readonly instanceCount: number;
  readonly executionProviders: readonly string[];
  readonly cacheBytes: number | undefined;
};

/**
 * The ModelConfig message of the model_configuration extension: what Triton's clients read of it.
 * A model that does not batch has max_batch_size 0, and its dims are the whole shape.
 */
export function modelConfig({ spec, ...settings }: ServedSettings) {
  const { name, inputs, outputs, maxBatchSize } = spec;
  const batches = maxBatchSize > 1;
  const isGpu = settings.executionProviders[0] === "cuda";
  const batching = {
    ...{ preferred_batch_size: [], preserve_ordering: false },
    max_queue_delay_microseconds: Math.round(settings.maxQueueDelayMs * 1000),
  };
  return {
    ...{ name, ...platformOf(spec), runtime: "" },
    version_policy: { all: {} },
    max_batch_size: batches ? maxBatchSize : 0,
    input: inputs.map((input) => ({
      ...tensorConfig(input, batches),
      ...{ format: "FORMAT_NONE", is_shape_tensor: false },
      ...{ allow_ragged_batch: false, optional: false },
    })),
    output: outputs.map((output) => ({
      ...tensorConfig(output, batches),
      ...{ label_filename: "", is_shape_tensor: false },
    })),
    instance_group: [
      {
        ...{ name: `${name}_0`, kind: isGpu ? "KIND_GPU" : "KIND_CPU" },
        ...{ count: settings.instanceCount, gpus: isGpu ? [0] : [] },
      },
    ],
    default_model_filename: "model.onnx",
    ...schedulingOf(spec, batching),
    response_cache: { enable: settings.cacheBytes !== undefined },
    parameters: {},
  };
}

const platformOf = ({ steps }: ModelSpec) =>
  steps === undefined
    ? { platform: "onnxruntime_onnx", backend: "onnxruntime" }
    : { platform: "ensemble", backend: "" };

/** A model with state is Triton's sequence batcher, with the states that it keeps by itself. */
function schedulingOf({ sequence, steps, maxBatchSize }: ModelSpec, dynamic_batching: object) {
  if (steps !== undefined) {
    const step = steps.map(({ model, inputs, outputs }) => ({
      ...{ model_name: model, model_version: -1, input_map: inputs, output_map: outputs },
    }));
    return { ensemble_scheduling: { step } };
  }
  if (sequence === undefined) return maxBatchSize > 1 ? { dynamic_batching } : {};
  const state = sequence.states.map(({ input, output, datatype, shape }) => ({
    ...{ input_name: input, output_name: output, data_type: configTypeOf(datatype) },
    dims: maxBatchSize > 1 ? shape.slice(1) : shape,
  }));
  return {
    sequence_batching: {
      max_sequence_idle_microseconds: sequence.maxIdleMs * 1000,
      state,
    },
  };
}

function tensorConfig({ name, datatype, shape }: TensorSpec, batches: boolean) {
  return { name, data_type: configTypeOf(datatype), dims: batches ? shape.slice(1) : shape };
}

const configTypeOf = (datatype: Datatype) =>
  datatype === "BYTES" ? "TYPE_STRING" : `TYPE_${datatype}`;
