import { utf8Bytes } from "../../experiment/hash.js";

/** Data as Lua's table constructors hold it; an absent field is left out. */
export type LuaData =
  string | number | boolean | readonly LuaData[] | { readonly [key: string]: LuaData | undefined };

/** Printable ASCII whatever the data, so that it stands in any document as it is. */
export function luaLiteral(data: LuaData): string {
  if (typeof data === "string") return luaString(data);
  if (typeof data !== "object") return String(data);
  if (isList(data)) return tableOf(data.map(luaLiteral));
  const fields = Object.entries(data).flatMap(([key, value]) =>
    value === undefined ? [] : [`${luaKey(key)}=${luaLiteral(value)}`],
  );
  return tableOf(fields);
}

/** Long ones get a line for each field, so that a change shows as the lines that it changes. */
function tableOf(fields: readonly string[]): string {
  const line = fields.join(",");
  return line.length > LINE_LENGTH ? `{\n${fields.join(",\n")}}` : `{${line}}`;
}

const LINE_LENGTH = 80;

const KEYWORDS =
  /^(and|break|do|else|elseif|end|false|for|function|goto|if|in|local|nil|not|or|repeat|return|then|true|until|while)$/;

function luaKey(key: string): string {
  return /^[A-Za-z_]\w*$/.test(key) && !KEYWORDS.test(key) ? key : `[${luaString(key)}]`;
}

function luaString(text: string): string {
  const characters = utf8Bytes(text).map((byte) =>
    byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c
      ? String.fromCharCode(byte)
      : `\\${String(byte).padStart(3, "0")}`,
  );
  return `"${characters.join("")}"`;
}

// Array.isArray does not narrow readonly arrays.
function isList(data: LuaData): data is readonly LuaData[] {
  return Array.isArray(data);
}
