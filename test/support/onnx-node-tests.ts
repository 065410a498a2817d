import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fetchPythonPackage } from "../../src/adapters/toolchain/python-package.js";
import type { Tensor, TensorData } from "../../src/core/serving/tensor.js";
import type { Datatype } from "../../src/schema/model-manifest.js";
import { tensorFromBytes } from "../../src/app/tensor-bytes.js";
import { LENGTH, VARINT, WireReader, tagOf } from "../../src/servers/inference-grpc/wire-reader.js";

/** The last release that ships the node tests. They are the same for every Python. */
const ONNX = {
  ...{ name: "onnx", version: "1.19.1", platform: "manylinux2014_x86_64", python: "3.11" },
  sha256: {
    "manylinux2014_x86_64.manylinux_2_17_x86_64":
      "1839af08ab4a909e4af936b8149c27f8c64b96138981024e251906e0539d8bf9",
  },
};

/** One operator with its inputs and what the reference implementation makes of them. */
export type NodeTest = {
  readonly name: string;
  readonly modelFile: string;
  /** Undefined: a value that is no tensor, or of a datatype that the protocol lacks. */
  readonly inputs: readonly (NamedTensor | undefined)[];
  readonly outputs: readonly (NamedTensor | undefined)[];
};

export type NamedTensor = { readonly name: string; readonly tensor: Tensor };

/** The node tests of ONNX's own suite: https://github.com/onnx/onnx/tree/v1.19.1/onnx/backend/test */
export async function onnxNodeTests(): Promise<readonly NodeTest[]> {
  const wheel = await fetchPythonPackage(ONNX);
  const folder = join(wheel, "onnx", "backend", "test", "data", "node");
  const names = (await readdir(folder)).sort();
  return Promise.all(
    names.map(async (name) => {
      const data = join(folder, name, "test_data_set_0");
      const files = await readdir(data);
      return {
        name,
        modelFile: join(folder, name, "model.onnx"),
        inputs: await tensorsIn(data, files, "input"),
        outputs: await tensorsIn(data, files, "output"),
      };
    }),
  );
}

async function tensorsIn(folder: string, files: readonly string[], prefix: string) {
  const count = files.filter((file) => file.startsWith(`${prefix}_`)).length;
  return Promise.all(
    Array.from({ length: count }, async (_, index) =>
      readTensor(await readFile(join(folder, `${prefix}_${index}.pb`))),
    ),
  );
}

/** TensorProto.DataType of onnx.proto. */
const DATATYPE: Readonly<Record<number, Datatype>> = {
  ...{ 1: "FP32", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64" },
  ...{ 8: "BYTES", 9: "BOOL", 10: "FP16", 11: "FP64", 12: "UINT32", 13: "UINT64" },
};

/** Reads a TensorProto whose elements are raw_data or string_data, as all of these tests have them. */
function readTensor(bytes: Buffer): NamedTensor | undefined {
  const reader = new WireReader(bytes);
  const shape: number[] = [];
  const texts: Buffer[] = [];
  let name = "";
  let type = 0;
  let raw: Uint8Array = Buffer.alloc(0);
  try {
    while (reader.next()) {
      if (reader.tag === tagOf(1, VARINT)) shape.push(reader.int64());
      else if (reader.tag === tagOf(1, LENGTH)) shape.push(...packedSizes(reader.bytes()));
      else if (reader.tag === tagOf(2, VARINT)) type = reader.int64();
      else if (reader.tag === tagOf(6, LENGTH)) texts.push(reader.bytes());
      else if (reader.tag === tagOf(8, LENGTH)) name = reader.string();
      else if (reader.tag === tagOf(9, LENGTH)) raw = reader.bytes();
      else reader.skip();
    }
    const datatype = DATATYPE[type];
    if (datatype === undefined) return undefined;
    const data: TensorData | undefined =
      datatype === "BYTES" ? texts.map((text) => text.toString("utf8")) : undefined;
    const tensor =
      data === undefined ? tensorFromBytes(name, datatype, shape, raw) : { datatype, shape, data };
    return { name, tensor };
  } catch {
    // A SequenceProto or an OptionalProto: other fields under the same numbers.
    return undefined;
  }
}

function packedSizes(bytes: Buffer): readonly number[] {
  const reader = new WireReader(bytes);
  const sizes: number[] = [];
  while (reader.at < bytes.length) sizes.push((reader.varint(), reader.low));
  return sizes;
}
