package main

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const modelInfer = "/inference.GRPCInferenceService/ModelInfer"

// grpcCaller sends messages as they are: making them anew each time would be the generator's CPU.
type grpcCaller struct {
	connection *grpc.ClientConn
	next       func() []byte
}

func dialGRPC(address string, next func() []byte) (caller, error) {
	connection, err := grpc.NewClient(
		address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{})),
	)
	if err != nil {
		return nil, err
	}
	return &grpcCaller{connection: connection, next: next}, nil
}

func (c *grpcCaller) call() (string, error) {
	request := c.next()
	var reply []byte
	if err := c.connection.Invoke(context.Background(), modelInfer, &request, &reply); err != nil {
		return fmt.Sprintf("%s: %s", status.Code(err), status.Convert(err).Message()), nil
	}
	return "", nil
}

type bytesCodec struct{}

func (bytesCodec) Name() string                        { return "proto" }
func (bytesCodec) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }
func (bytesCodec) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}
