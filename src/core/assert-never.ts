/** Makes a switch over a union exhaustive; throws if the types were wrong at run time. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
