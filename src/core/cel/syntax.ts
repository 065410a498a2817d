import type { ASTNode } from "@marcbachmann/cel-js";
import { HeaderName } from "../../schema/values.js";

/**
 * Envoy forwards only the headers a policy names, so an expression must name each header with a
 * literal. The walk below finds them, and refuses what would need all headers.
 */
export function headersNamedIn(root: ASTNode): readonly string[] {
  const names = new Set<string>();
  visit(root, (node) => {
    const name = headerNameIn(node);
    if (name !== undefined) names.add(name);
  });
  return [...names].sort();
}

export function mentions(root: ASTNode, variable: string): boolean {
  let found = false;
  visit(root, (node) => {
    found ||= node.op === "id" && node.args === variable;
  });
  return found;
}

/** Why the expression cannot be used on the request path, with the remedy; null when it can. */
export function refusalOf(root: ASTNode): string | null {
  const refusals: string[] = [];
  // Every mention of `request` must be a member access, every mention of its headers a named one.
  let unnamed = 0;
  visit(root, (node) => {
    if (isRequest(node)) unnamed++;
    if (node.op === "." && isRequest(node.args[0]) && node.args[1] !== "headers") unnamed--;
    const name = headerNameIn(node);
    if (name !== undefined) unnamed--;
    if (name !== undefined) refusals.push(...headerRefusals(name));
    if ((node.op === "rcall" || node.op === "call") && node.args[0] === "matches") {
      refusals.push(
        "CEL matches() is refused: a header that a client chooses could make a regular expression take exponential time; use startsWith, endsWith, contains or in",
      );
    }
  });
  if (unnamed > 0) {
    refusals.push(
      'CEL must name each header with a literal, such as request.headers["x-country"]: Envoy forwards only the headers that the policy names',
    );
  }
  return refusals[0] ?? null;
}

/** An expression may read what a policy may name, under the same rules. */
function headerRefusals(name: string): readonly string[] {
  if (name !== name.toLowerCase()) {
    return [
      `CEL reads header ${JSON.stringify(name)}: header names are lower-case, write ${JSON.stringify(name.toLowerCase())}`,
    ];
  }
  const issues = HeaderName.safeParse(name).error?.issues ?? [];
  return issues.map(({ message }) => `CEL reads a header it may not: ${message}`);
}

/** The header that this very node reads by a literal name. */
export function headerNameIn(node: ASTNode): string | undefined {
  if (node.op === "[]" || node.op === "[?]") {
    const [map, key] = node.args;
    return isHeaders(map) && key.op === "value" && typeof key.args === "string"
      ? key.args
      : undefined;
  }
  if (node.op === "." || node.op === ".?") {
    return isHeaders(node.args[0]) ? node.args[1] : undefined;
  }
  if (node.op === "in") {
    const [key, map] = node.args;
    return isHeaders(map) && key.op === "value" && typeof key.args === "string"
      ? key.args
      : undefined;
  }
  return undefined;
}

const isRequest = (node: ASTNode) => node.op === "id" && node.args === "request";
const isHeaders = (node: ASTNode) =>
  node.op === "." && node.args[1] === "headers" && isRequest(node.args[0]);

function visit(node: ASTNode, see: (node: ASTNode) => void): void {
  see(node);
  const pending: unknown[] = [node.args];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (Array.isArray(next)) pending.push(...(next as unknown[]));
    else if (isNode(next)) visit(next, see);
  }
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}
