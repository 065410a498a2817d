import { ServiceError } from "../error.js";
import type { SequenceStep } from "./sequence.js";

/** gRPC has all five kinds; JSON has three of them. */
export type ParameterValue = string | number | bigint | boolean;
export type Parameters = ReadonlyMap<string, ParameterValue>;

/** What the parameters of a request ask for; those that no extension names are for nobody. */
export type RequestOptions = {
  /** From now. */
  readonly timeoutMs: number | undefined;
  /** 1 is the most urgent; 0 is the default. */
  readonly priority: number;
  /** Whose share of the instances it is charged to. */
  readonly tenant: string | undefined;
  readonly sequence: SequenceStep | undefined;
  /** `binary_data_output`: every output that does not say otherwise is wanted in binary. */
  readonly binaryOutputs: boolean;
};

/** Triton's extensions schedule_policy, sequence and binary_tensor_data, and its reserved names. */
export function requestOptions(parameters: Parameters): RequestOptions {
  for (const name of parameters.keys()) {
    if (name === "headers" || (name.startsWith("triton_") && name !== EMPTY_FINAL_RESPONSE)) {
      const message = `parameter ${quote(name)} is a reserved name: headers and triton_* belong to the server`;
      throw new ServiceError("badRequest", message);
    }
  }
  // Microseconds; 0 is no timeout.
  const timeoutUs = wholeNumber(parameters, "timeout");
  return {
    timeoutMs: timeoutUs === 0 ? undefined : timeoutUs / 1000,
    priority: wholeNumber(parameters, "priority"),
    tenant: tenantOf(parameters),
    sequence: sequenceOf(parameters),
    binaryOutputs: flag(parameters, "binary_data_output"),
  };
}

/** Sent with every request of a Triton stream; each of ours has one answer, the final one. */
const EMPTY_FINAL_RESPONSE = "triton_enable_empty_final_response";

/** The place in a sequence; tritonclient spells "none" as 0, "" and false. */
function sequenceOf(parameters: Parameters): SequenceStep | undefined {
  const id = parameters.get("sequence_id") ?? "";
  const start = flag(parameters, "sequence_start");
  const end = flag(parameters, "sequence_end");
  if (id === "" || Number(id) === 0) {
    if (!start && !end) return undefined;
    const name = start ? "sequence_start" : "sequence_end";
    throw new ServiceError("badRequest", `${name} needs a sequence_id, which is not 0 or empty`);
  }
  const isWhole = typeof id === "bigint" || Number.isSafeInteger(id);
  if (isWhole || (typeof id === "string" && id.length <= MAX_ID_LENGTH)) {
    return { id: String(id), start, end };
  }
  const message = `parameter sequence_id must be an integer, or a string of at most ${MAX_ID_LENGTH} characters`;
  throw new ServiceError("badRequest", message);
}

const MAX_ID_LENGTH = 128;

/** Of the parameters of an output: how many classes are wanted; 0: the tensor itself. */
export function classesWanted(parameters: Parameters): number {
  return wholeNumber(parameters, "classification");
}

const MAX_TENANT_LENGTH = 128;

function tenantOf(parameters: Parameters): string | undefined {
  const tenant = parameters.get("tenant");
  if (tenant === undefined) return undefined;
  if (typeof tenant === "string" && tenant.length <= MAX_TENANT_LENGTH) return tenant;
  const message = `parameter tenant must be a string of at most ${MAX_TENANT_LENGTH} characters`;
  throw new ServiceError("badRequest", message);
}

export function wholeNumber(parameters: Parameters, name: string): number {
  const value = parameters.get(name) ?? 0;
  const number = typeof value === "bigint" ? Number(value) : value;
  if (typeof number === "number" && Number.isSafeInteger(number) && number >= 0) return number;
  throw new ServiceError("badRequest", `parameter ${name} must be an integer of 0 or more`);
}

export function flag(parameters: Parameters, name: string, byDefault = false): boolean {
  const value = parameters.get(name) ?? byDefault;
  if (typeof value === "boolean") return value;
  throw new ServiceError("badRequest", `parameter ${name} must be true or false`);
}

const quote = (name: string) => JSON.stringify(name.slice(0, 128));
