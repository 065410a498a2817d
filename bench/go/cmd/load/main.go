// Load sends inference requests over HTTP/1.1 and prints one JSON line: how many, how many did not
// answer 200, and how long they took.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"time"
)

func main() {
	var target target
	var duration time.Duration
	var rate float64
	flag.StringVar(&target.address, "address", "", "HOST:PORT to send to")
	flag.StringVar(&target.path, "path", "/", "path to POST to")
	flag.IntVar(&target.connections, "connections", 32, "keep-alive connections")
	flag.DurationVar(&duration, "duration", 10*time.Second, "how long to send")
	flag.Float64Var(&rate, "rate", 0, "requests per second, whatever the answers do; 0: each connection sends when it is answered")
	flag.Parse()
	clients, err := target.connect()
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
