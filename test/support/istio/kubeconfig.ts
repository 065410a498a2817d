/** Text of a kubeconfig for one API server. */
export function kubeconfigFor(api: {
  readonly server: string;
  /** PEM. */
  readonly ca?: string;
  readonly token?: string;
}): string {
  const { server, ca, token } = api;
  const trust =
    ca === undefined ? {} : { "certificate-authority-data": Buffer.from(ca).toString("base64") };
  return JSON.stringify({
    ...{ apiVersion: "v1", kind: "Config", "current-context": "lab" },
    clusters: [{ name: "lab", cluster: { server, ...trust } }],
    users: [{ name: "lab", user: { token } }],
    contexts: [{ name: "lab", context: { cluster: "lab", user: "lab" } }],
  });
}
