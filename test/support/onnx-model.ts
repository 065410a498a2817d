import type { Datatype } from "../../src/schema/model-manifest.js";

/**
 * Writes ONNX models of a few hundred bytes: field numbers are those of onnx.proto (IR version 8),
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
const ELEMENT_TYPES = {
  FP32: 1,
  UINT8: 2,
  INT8: 3,
  UINT16: 4,
  INT16: 5,
  INT32: 6,
  INT64: 7,
  BYTES: 8,
  BOOL: 9,
  FP16: 10,
  FP64: 11,
  UINT32: 12,
  UINT64: 13,
} as const satisfies Record<Datatype, number>;

type Axis = number | string;
export type Value = {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly Axis[];
};
export type Node = {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
};
/** INT64 or FP32 constants. */
export type Constant = {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: BigInt64Array | Float32Array;
};
export type Graph = {
  readonly nodes: readonly Node[];
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly constants?: readonly Constant[];
};

export function onnxModel({ nodes, inputs, outputs, constants = [] }: Graph): Uint8Array {
  const graph = [
    ...nodes.map((node) => bytes(1, nodeProto(node))),
    text(2, "graph"),
    ...constants.map((constant) => bytes(5, tensorProto(constant))),
    ...inputs.map((value) => bytes(11, valueInfo(value))),
    ...outputs.map((value) => bytes(12, valueInfo(value))),
  ];
  const opset = bytes(8, Buffer.concat([text(1, ""), integer(2, 13)]));
  return Buffer.concat([
    integer(1, 8),
    text(2, "weir-test"),
    bytes(7, Buffer.concat(graph)),
    opset,
  ]);
}

const tensor = (name: string, datatype: Datatype, shape: readonly Axis[]) => ({
  name,
  datatype,
  shape,
});

/** y = x, of any datatype, [n, width]. */
export const identityModel = (datatype: Datatype = "FP32", width: Axis = 2) =>
  onnxModel({
    nodes: [{ op: "Identity", inputs: ["x"], outputs: ["y"] }],
    inputs: [tensor("x", datatype, ["n", width])],
    outputs: [tensor("y", datatype, ["n", width])],
  });

/** sum = a + b and difference = a - b, [n, 2]. */
export const sumModel = () =>
  onnxModel({
    nodes: [
      { op: "Add", inputs: ["a", "b"], outputs: ["sum"] },
      { op: "Sub", inputs: ["a", "b"], outputs: ["difference"] },
    ],
    inputs: [tensor("a", "FP32", ["n", 2]), tensor("b", "FP32", ["n", 2])],
    outputs: [tensor("sum", "FP32", ["n", 2]), tensor("difference", "FP32", ["n", 2])],
  });

/** y = [10, 20, 30, 40][x]; an x out of 0..3 makes the whole batch fail. */
export const lookUpModel = () =>
  onnxModel({
    nodes: [{ op: "Gather", inputs: ["table", "x"], outputs: ["y"] }],
    inputs: [tensor("x", "INT64", ["n", 1])],
    outputs: [tensor("y", "FP32", ["n", 1])],
    constants: [{ name: "table", shape: [4], values: Float32Array.of(10, 20, 30, 40) }],
  });

/** y = `value`, whatever x is, [n, 1]. */
export const constantModel = (value: number) =>
  onnxModel({
    nodes: [
      { op: "Sub", inputs: ["x", "x"], outputs: ["zero"] },
      { op: "Add", inputs: ["zero", "value"], outputs: ["y"] },
    ],
    inputs: [tensor("x", "FP32", ["n", 1])],
    outputs: [tensor("y", "FP32", ["n", 1])],
    constants: [{ name: "value", shape: [1], values: Float32Array.of(value) }],
  });

/** y = state + x, and that is the next state, [n, 1]: what a sequence adds up to. */
export const tallyModel = () =>
  onnxModel({
    nodes: [
      { op: "Add", inputs: ["x", "state"], outputs: ["y"] },
      { op: "Identity", inputs: ["y"], outputs: ["next"] },
    ],
    inputs: [tensor("x", "FP32", ["n", 1]), tensor("state", "FP32", ["n", 1])],
    outputs: [tensor("y", "FP32", ["n", 1]), tensor("next", "FP32", ["n", 1])],
  });

/** y = 0 after `steps` products of 1024 x 1024 matrices: about 2 billion operations each. */
export const slowModel = (steps: number) =>
  onnxModel({
    nodes: [
      { op: "ConstantOfShape", inputs: ["square"], outputs: ["weights"] },
      { op: "Expand", inputs: ["x", "square"], outputs: ["h0"] },
      ...Array.from({ length: steps }, (_, step) => ({
        op: "MatMul",
        inputs: [`h${step}`, "weights"],
        outputs: [`h${step + 1}`],
      })),
      { op: "ReduceSum", inputs: [`h${steps}`], outputs: ["y"] },
    ],
    inputs: [tensor("x", "FP32", [1, 1])],
    outputs: [tensor("y", "FP32", [1, 1])],
    constants: [{ name: "square", shape: [2], values: BigInt64Array.of(1024n, 1024n) }],
  });

function nodeProto({ op, inputs, outputs }: Node): Buffer {
  const names = [...inputs.map((name) => text(1, name)), ...outputs.map((name) => text(2, name))];
  return Buffer.concat([...names, text(4, op)]);
}

function tensorProto({ name, shape, values }: Constant): Buffer {
  const type = values instanceof Float32Array ? ELEMENT_TYPES.FP32 : ELEMENT_TYPES.INT64;
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const dims = shape.map((size) => integer(1, size));
  return Buffer.concat([...dims, integer(2, type), text(8, name), bytes(9, raw)]);
}

function valueInfo({ name, datatype, shape }: Value): Buffer {
  const dims = shape.map((axis) =>
    bytes(1, typeof axis === "number" ? integer(1, axis) : text(2, axis)),
  );
  const type = [integer(1, ELEMENT_TYPES[datatype]), bytes(2, Buffer.concat(dims))];
  return Buffer.concat([text(1, name), bytes(2, bytes(1, Buffer.concat(type)))]);
}

function varint(value: number): Buffer {
  const digits: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) digits.push((rest % 128) + 128);
  return Buffer.from([...digits, rest]);
}

const integer = (field: number, value: number) => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field: number, content: Uint8Array) =>
  Buffer.concat([varint(field * 8 + 2), varint(content.length), content]);
const text = (field: number, content: string) => bytes(field, Buffer.from(content));
