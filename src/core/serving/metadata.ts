import type { ModelSpec } from "./model-spec.js";

/** Of Triton's extensions, those that are served; each wire adds its own. */
const EXTENSIONS = [
  "binary_tensor_data",
  "classification",
  "model_configuration",
  "model_repository",
  "parameters",
  "schedule_policy",
  "sequence",
  "statistics",
] as const;

export function serverMetadata(version: string) {
  return { name: "weir", version, extensions: EXTENSIONS };
}

export function modelMetadata(
  { name, inputs, outputs, steps }: ModelSpec,
  versions: readonly string[],
) {
  const platform = steps === undefined ? "onnxruntime_onnx" : "ensemble";
  return { name, versions, platform, inputs, outputs };
}
