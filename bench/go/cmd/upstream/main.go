// Upstream answers every HTTP/1.1 request with the same small 200: a pod that costs almost nothing.
package main

import (
	"bufio"
	"log"
	"net"

	"weir.dev/bench/internal/http1"
	"weir.dev/bench/internal/listen"
)

var answer = []byte("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")

func main() {
	listener, announce := listen.Loopback()
	announce()
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection)
	}
}

func serve(connection net.Conn) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		if _, err := http1.ReadMessage(reader); err != nil {
			return
		}
		if _, err := connection.Write(answer); err != nil {
			return
		}
	}
}
