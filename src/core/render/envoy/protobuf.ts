import type { HostPort } from "../../host-port.js";
import type { Tree } from "../rendered-document.js";

/** A duration in protobuf's JSON form: seconds with the unit. */
export function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(6))}s`;
}

/** A message whose type is named in the message, as google.protobuf.Any asks for. */
export function typed(
  type: string,
  fields: { readonly [key: string]: Tree | undefined } = {},
): Tree {
  return { "@type": `type.googleapis.com/${type}`, ...fields };
}

export type HttpFilter = { readonly name: string; readonly typed_config: Tree };

export function socketAddress({ host, port }: HostPort): Tree {
  return { socket_address: { address: host, port_value: port } };
}

const IP_V4 = /^\d{1,3}(\.\d{1,3}){3}$/;

export function isIpAddress(host: string): boolean {
  return IP_V4.test(host) || host.includes(":");
}
