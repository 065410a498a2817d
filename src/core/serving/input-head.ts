import type { Datatype } from "../../schema/model-manifest.js";
import { ServiceError } from "../error.js";
import { isDatatype } from "./tensor.js";

/** What a request says of an input before its data. */
export type InputHead = {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
};

/** Refuses what no model could take; core/serving/check-inputs.ts knows the model. */
export function inputHead(name: string, datatype: unknown, shape: readonly number[]): InputHead {
  const quoted = JSON.stringify(name);
  if (datatype === "BF16") throw bad(`input ${quoted} is BF16, which ONNX Runtime here lacks`);
  if (!isDatatype(datatype)) throw bad(`datatype of input ${quoted} is none of the protocol's`);
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw bad(`each size in the shape of input ${name} must be an integer of 0 or more`);
    }
    if (size >= 2 ** 31) {
      throw bad(`input ${quoted} has an axis of ${size}, the limit is 2147483647`);
    }
  }
  return { name, datatype, shape };
}

/** An element that its datatype does not have; `name` is quoted. */
export function badElement(name: string, datatype: Datatype, index: number, shown: string) {
  return bad(`input ${name}: element ${index} is ${shown}, which is no value of ${datatype}`);
}

const bad = (message: string) => new ServiceError("badRequest", message);
