import { EXIT, ExitError } from "./exit.js";

/** Parses `HOST:PORT` and `[IPV6]:PORT`; `option` is only the name in the message. */
export function parseHostPort(
  option: string,
  text: string,
): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65_535) {
    throw new ExitError(
      EXIT.badConfiguration,
      `${option} ${text}: write HOST:PORT, such as 127.0.0.1:9002 or [::1]:9002`,
    );
  }
  return { host, port };
}
