import { shortened } from "../../schema/shape-issues.js";
import type { YamlText } from "./read-yaml.js";

type Issue = { readonly path: readonly (string | number)[]; readonly message: string };

/** `file:line:column path: message` for each issue, in the order of the file. */
export function issueLines(locate: YamlText["locate"], issues: readonly Issue[]): string[] {
  return issues
    .map(({ path, message }) => {
      const place = locate(path);
      return { position: positionIn(place), line: `${place} ${pathText(path)}${message}` };
    })
    .sort(
      (left, right) =>
        left.position.line - right.position.line || left.position.column - right.position.column,
    )
    .map(({ line }) => line);
}

/** So that an operator can work from top to bottom. */
function positionIn(place: string): { readonly line: number; readonly column: number } {
  const [, line, column] = /:(\d+):(\d+)$/.exec(place) ?? [];
  return { line: Number(line), column: Number(column) };
}

/** `experiments[0].arms[1]: `; empty for the document itself. */
function pathText(path: Issue["path"]): string {
  const text = path
    .map((step) => (typeof step === "number" ? `[${step}]` : `.${shortened(step)}`))
    .join("");
  return text === "" ? "" : `${text.replace(/^\./, "")}: `;
}
