// Extproc is the least an ext_proc server can do: hash the user into one of two versions, name the
// version in a header, have Envoy choose the route again. It is what weir is compared with.
package main

import (
	"errors"
	"hash/fnv"
	"io"
	"log"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"weir.dev/bench/internal/listen"
)

var versions = []string{"magika/v1", "magika/v3"}

type processor struct {
	extprocv3.UnimplementedExternalProcessorServer
}

func main() {
	listener, announce := listen.Loopback()
	server := grpc.NewServer()
	extprocv3.RegisterExternalProcessorServer(server, processor{})
	// The rendered Envoy asks for this service and sends no streams before it is SERVING.
	healthServer := health.NewServer()
	healthServer.SetServingStatus("readiness", healthv1.HealthCheckResponse_SERVING)
	healthv1.RegisterHealthServer(server, healthServer)
	announce()
	log.Fatal(server.Serve(listener))
}

func (processor) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		headers := request.GetRequestHeaders()
		if headers == nil {
			return status.Errorf(codes.Unimplemented, "only request headers are answered, not %T", request.GetRequest())
		}
		if err := stream.Send(answer(headers)); err != nil {
			return err
		}
	}
}

func answer(headers *extprocv3.HttpHeaders) *extprocv3.ProcessingResponse {
	hash := fnv.New32a()
	for _, header := range headers.GetHeaders().GetHeaders() {
		if header.GetKey() == "x-user-id" {
			hash.Write(header.GetRawValue())
		}
	}
	version := versions[hash.Sum32()%uint32(len(versions))]
	return &extprocv3.ProcessingResponse{
		Response: &extprocv3.ProcessingResponse_RequestHeaders{
			RequestHeaders: &extprocv3.HeadersResponse{
				Response: &extprocv3.CommonResponse{
					ClearRouteCache: true,
					HeaderMutation: &extprocv3.HeaderMutation{
						SetHeaders: []*corev3.HeaderValueOption{{
							Header:       &corev3.HeaderValue{Key: "x-weir-version", RawValue: []byte(version)},
							AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
						}},
					},
				},
			},
		},
	}
}
