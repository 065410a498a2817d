import { test } from "vitest";
import { startEnvoy } from "../support/envoy-process.js";
import { startEchoUpstream } from "../support/echo-upstream.js";
import type { RenderedDocument } from "../../src/core/render/rendered-document.js";
import { request } from "node:http";

const T = "type.googleapis.com/envoy.extensions.filters.http.";
test.each(["1.36.4", "1.40.0"])("lab %s", async (v) => {
  const up = await startEchoUpstream();
  const up2 = await startEchoUpstream({ http2: true });
  const up3 = await startEchoUpstream({ http2: true });
  const ow = "OVERWRITE_IF_EXISTS_OR_ADD";
  const cluster = (name: string, port: number, extra: object = {}) => ({ name, type: "STATIC", load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } }] }] },
    typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": { "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: {} }, ...extra } } });
  const strip = { http_filters: [
    { name: "envoy.filters.http.header_mutation", typed_config: { "@type": T + "header_mutation.v3.HeaderMutation", mutations: { request_mutations: [{ remove: "x-weir-shadow-cluster" }] } } },
    { name: "envoy.filters.http.upstream_codec", typed_config: { "@type": T + "upstream_codec.v3.UpstreamCodec" } } ] };
  const doc = { header: [], comments: [], root: {
    admin: { address: { socket_address: { address: "127.0.0.1", port_value: 0 } } },
    static_resources: {
      listeners: [{ name: "weir", address: { socket_address: { address: "127.0.0.1", port_value: 0 } }, filter_chains: [{ filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", stat_prefix: "w",
        access_log: [{ name: "envoy.access_loggers.file", typed_config: { "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", path: "access.log", log_format: { json_format: { shadow: "%REQ(X-WEIR-SHADOW-CLUSTER)%", d: "%DYNAMIC_METADATA(weir:decision)%", path: "%PATH(NQ)%" } } } }],
        route_config: { virtual_hosts: [{ name: "a", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: "p", request_mirror_policies: [{ cluster_header: "x-weir-shadow-cluster", disable_shadow_host_suffix_append: true, request_headers_mutations: [{ append: { header: { key: "x-weir-shadow", value: "1" }, append_action: ow } }, { remove: "x-weir-shadow-cluster" }] }] } }] }] },
        http_filters: [
          { name: "envoy.filters.http.header_mutation", typed_config: { "@type": T + "header_mutation.v3.HeaderMutation", mutations: {
            request_mutations: [
              { remove_on_match: { key_matcher: { prefix: "weir-kept-" } } },
              { append: { header: { key: "weir-kept-cost", value: "%REQ(x-weir-cost)%" }, append_action: ow } },
              { append: { header: { key: "weir-kept-override", value: "%REQ(x-weir-override)%" }, append_action: ow } },
              { remove_on_match: { key_matcher: { prefix: "x-weir-" } } },
              { append: { header: { key: "x-weir-cost", value: "%REQ(weir-kept-cost)%" }, append_action: ow } },
              { append: { header: { key: "x-weir-override", value: "%REQ(weir-kept-override)%" }, append_action: ow } },
              { remove_on_match: { key_matcher: { prefix: "weir-kept-" } } },
              { append: { header: { key: "x-weir-shadow-cluster", value: "s" }, append_action: ow } },
            ],
            response_mutations: [
              { append: { header: { key: "a-absent", value: "%DYNAMIC_METADATA(weir:ratelimit)%" }, append_action: ow } },
              { append: { header: { key: "a-present", value: "%DYNAMIC_METADATA(weir:decision)%" }, append_action: ow } },
              { append: { header: { key: "x-up", value: "%DYNAMIC_METADATA(weir:decision)%" }, append_action: ow } },
              { append: { header: { key: "x-up2", value: "%DYNAMIC_METADATA(weir:nix)%" }, append_action: ow } },
            ] } } },
          { name: "sm", typed_config: { "@type": T + "set_metadata.v3.Config", metadata: [{ metadata_namespace: "weir", value: { decision: "d1" } }] } },
          { name: "envoy.filters.http.router", typed_config: { "@type": T + "router.v3.Router" } },
        ] } }] }] }],
      clusters: [cluster("p", up2.port, process.env["STRIP"] ? strip : {}), cluster("s", up3.port)],
    } } } as unknown as RenderedDocument;
  up2.answerWith(() => ({ headers: { "x-up": "fromup", "x-up2": "fromup" } }));
  const envoy = await startEnvoy(`/tmp/envoys/${v}/envoy/_bin/envoy`, doc);
  const { connect } = await import("node:http2");
  const s = connect(`http://127.0.0.1:${envoy.port}`);
  const req = s.request({ ":path": "/x?y=1", ":method": "POST", "x-weir-version": "forged", "weir-kept-cost": "forged", "x-weir-override": ["a=b", "c=d"] });
  req.on("response", (h) => console.log(v, "client got", { ...h }));
  req.end("hello");
  await new Promise((r) => req.on("close", r).resume());
  await new Promise((r) => setTimeout(r, 800));
  console.log(v, "primary", up2.received, "shadow", up3.received, envoy.accessLog());
  console.log(await envoy.stats("cluster.s.(upstream_rq_total|upstream_cx_http|upstream_cx_protocol_error|upstream_rq_.xx|upstream_rq_rx_reset)"));
  s.close(); 
  await envoy.stop(); await up.close(); await up2.close(); await up3.close();
});
