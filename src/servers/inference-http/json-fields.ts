import { ServiceError } from "../../core/error.js";
import type { Parameters, ParameterValue } from "../../core/serving/request-parameters.js";

/** Fields of a parsed JSON body, or the error that says what they should be. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function objectOf(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw bad(`${what} must be a JSON object`);
  }
  // Without a prototype, so that no key of the body can be mistaken for one of Object's.
  return Object.assign(Object.create(null) as JsonObject, value);
}

/** The protocol's parameters are strings, numbers and booleans. */
export function parametersOf(value: unknown, what: string): Parameters {
  if (value === undefined) return new Map();
  const entries = Object.entries(objectOf(value, what));
  for (const [name, parameter] of entries) {
    if (["string", "number", "boolean"].includes(typeof parameter)) continue;
    throw bad(`${what}: ${JSON.stringify(name)} must be a string, a number or a boolean`);
  }
  return new Map(entries as [string, ParameterValue][]);
}

export function listOf(value: unknown, what: string): readonly unknown[] {
  if (!Array.isArray(value)) throw bad(`${what} must be a list`);
  return value;
}

export function nameOf(value: unknown, where: string): string {
  if (typeof value !== "string") throw bad(`each of ${where} must have a name, a string`);
  return value;
}

export function count(value: unknown, what: string): number {
  if (Number.isSafeInteger(value) && Number(value) >= 0) return Number(value);
  throw bad(`${what} must be an integer of 0 or more`);
}

export function bad(message: string): ServiceError {
  return new ServiceError("badRequest", message);
}
