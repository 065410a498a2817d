import { ServiceError } from "./error.js";

export type HostPort = { readonly host: string; readonly port: number };

/**
 * Parses `HOST:PORT` and `[IPV6]:PORT`; port 0 asks for a free one.
 *
 * @param what  what the address is for, as the message names it
 * @throws ServiceError badRequest for anything else
 */
export function parseHostPort(what: string, address: string): HostPort {
  const [, bracketed, plain, digits] =
    /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(digits) <= 65_535) return { host, port: Number(digits) };
  throw new ServiceError(
    "badRequest",
    `${what} ${JSON.stringify(address)} must be HOST:PORT, such as 127.0.0.1:9002 or [::1]:9002`,
  );
}
