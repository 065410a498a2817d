import { Tensor as OrtTensor } from "onnxruntime-node";
import type { InferenceSession } from "onnxruntime-node";
import type { TensorSpec } from "../../core/serving/model-spec.js";
import type { Tensor, TensorData } from "../../core/serving/tensor.js";
import { DATATYPES } from "../../schema/model-manifest.js";
import type { Datatype } from "../../schema/model-manifest.js";

const ORT_TYPES = {
  BOOL: "bool",
  UINT8: "uint8",
  UINT16: "uint16",
  UINT32: "uint32",
  UINT64: "uint64",
  INT8: "int8",
  INT16: "int16",
  INT32: "int32",
  INT64: "int64",
  FP16: "float16",
  FP32: "float32",
  FP64: "float64",
  BYTES: "string",
} as const satisfies Record<Datatype, string>;

export function toOrtTensor({ datatype, shape, data }: Tensor): OrtTensor {
  // The constructor's overloads pair each type with its array; ours are paired in numericArray.
  return new OrtTensor(ORT_TYPES[datatype] as "float32", data as Float32Array, shape);
}

export function fromOrtTensor(tensor: OrtTensor): Tensor {
  const { data, dims } = tensor;
  return { datatype: datatypeOf(tensor.type), shape: dims, data: data as TensorData };
}

/** What the model file says about its inputs or outputs; the name of an axis means any size. */
export function specsOf(metadata: readonly InferenceSession.ValueMetadata[]): TensorSpec[] {
  return metadata.map((value) => {
    if (!value.isTensor) throw new Error(`${value.name} is no tensor: only tensors can be served`);
    const shape = value.shape.map((size) => (typeof size === "number" && size >= 0 ? size : -1));
    return { name: value.name, datatype: datatypeOf(value.type), shape };
  });
}

function datatypeOf(type: string): Datatype {
  const found = DATATYPES.find((datatype) => ORT_TYPES[datatype] === type);
  if (found === undefined) throw new Error(`tensors of ${type} are not supported`);
  return found;
}
