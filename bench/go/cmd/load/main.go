// Load sends inference requests over HTTP/1.1 or gRPC and prints one JSON line: how many, how many
// were not answered well, and how long they took.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"time"
)

type options struct {
	address     string
	path        string
	connections int
	bodies      string
	isGRPC      bool
}

func main() {
	var options options
	var duration time.Duration
	var rate float64
	flag.StringVar(&options.address, "address", "", "HOST:PORT to send to")
	flag.StringVar(&options.path, "path", "/", "path to POST to")
	flag.IntVar(&options.connections, "connections", 32, "keep-alive connections")
	flag.StringVar(&options.bodies, "bodies", "", "file with a JSON body a line, or for gRPC a message in base64; empty: one body, from many users")
	flag.BoolVar(&options.isGRPC, "grpc", false, "call ModelInfer of the Open Inference Protocol")
	flag.DurationVar(&duration, "duration", 10*time.Second, "how long to send")
	flag.Float64Var(&rate, "rate", 0, "requests per second, whatever the answers do; 0: each connection sends when it is answered")
	flag.Parse()
	dial, err := options.dialer()
	if err != nil {
		log.Fatal(err)
	}
	clients, err := connect(options.connections, dial)
	if err != nil {
		log.Fatal(err)
	}
	start := time.Now()
	if rate > 0 {
		openLoop(clients, rate, duration)
	} else {
		closedLoop(clients, duration)
	}
	if err := json.NewEncoder(os.Stdout).Encode(summarize(clients, time.Since(start))); err != nil {
		log.Fatal(err)
	}
}

func (o options) dialer() (func(number int) (caller, error), error) {
	if o.bodies == "" {
		return func(number int) (caller, error) { return dialHTTP(o.address, usersOf(o.path, number)) }, nil
	}
	bodies, err := readBodies(o.bodies, o.isGRPC)
	if err != nil {
		return nil, err
	}
	return func(number int) (caller, error) {
		if o.isGRPC {
			return dialGRPC(o.address, inTurn(bodies, number))
		}
		return dialHTTP(o.address, httpRequests(o.path, bodies, number))
	}, nil
}
