import type { ASTNode } from "@marcbachmann/cel-js";
import { headerNameIn } from "./syntax.js";

/** True of a request whose header, its lines joined with ", ", is one of the values. */
export type HeaderCondition = { readonly header: string; readonly values: readonly string[] };

/**
 * The conditions that an expression is the conjunction of: `request.headers["x"] == "v"` and
 * `request.headers["x"] in ["v", "w"]`, joined by `&&`. An absent header is an error in CEL, and so
 * "no", like a condition that is false.
 *
 * @returns null when the expression says anything else
 */
export function headerConditionsIn(node: ASTNode): readonly HeaderCondition[] | null {
  if (node.op === "&&") {
    const [left, right] = node.args.map(headerConditionsIn);
    return left == null || right == null ? null : [...left, ...right];
  }
  if (node.op !== "==" && node.op !== "in") return null;
  const [first, second] = node.args;
  if (node.op === "in") return conditionOf(first, textsIn(second));
  return conditionOf(first, textIn(second)) ?? conditionOf(second, textIn(first));
}

function conditionOf(node: ASTNode, values: readonly string[] | null) {
  const header = node.op === "[]" || node.op === "." ? headerNameIn(node) : undefined;
  return header === undefined || values === null ? null : [{ header, values }];
}

function textsIn(node: ASTNode): readonly string[] | null {
  if (node.op !== "list") return null;
  const texts = node.args.map(textIn);
  return texts.includes(null) ? null : texts.flatMap((text) => text ?? []);
}

/** Text that UTF-8 can carry: a decoder leaves U+FFFD of bytes that are none. */
function textIn(node: ASTNode): readonly string[] | null {
  if (node.op !== "value" || typeof node.args !== "string") return null;
  return /\ufffd|\p{Surrogate}/u.test(node.args) ? null : [node.args];
}
