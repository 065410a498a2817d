// Package listen opens a free loopback port and says so as weir does: one JSON line on stdout.
package listen

import (
	"fmt"
	"log"
	"net"
)

// Loopback listens on a free port. The caller must call the announcement once it serves.
func Loopback() (listener net.Listener, announce func()) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return listener, func() { fmt.Printf("{\"ready\":true,\"address\":%q}\n", listener.Addr()) }
}
