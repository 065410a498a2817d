import { ServiceError } from "../error.js";

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
  /** `binary_data_output`: every output that does not say otherwise is wanted in binary. */
  readonly binaryOutputs: boolean;
};

/** Triton's extensions schedule_policy, sequence and binary_tensor_data, and its reserved names. */
export function requestOptions(parameters: Parameters): RequestOptions {
  for (const [name, value] of parameters) {
    if (name.startsWith("sequence_") && isSet(value)) throw noSequences(name);
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
    binaryOutputs: flag(parameters, "binary_data_output"),
  };
}

/** Sent with every request of a Triton stream; each of ours has one answer, the final one. */
const EMPTY_FINAL_RESPONSE = "triton_enable_empty_final_response";

/** tritonclient spells "no sequence" as 0, "" and false. */
const isSet = (value: ParameterValue) =>
  value !== 0 && value !== 0n && value !== "" && value !== false;

function noSequences(name: string): ServiceError {
  const message = `parameter ${quote(name)} starts a sequence, and no model here keeps state between requests: leave it out`;
  return new ServiceError("badRequest", message);
}

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
