package main

import (
	"bufio"
	"net"
	"strings"

	"weir.dev/bench/internal/http1"
)

type httpCaller struct {
	connection net.Conn
	reader     *bufio.Reader
	request    []byte
	// appendNext writes the next request, headers included.
	appendNext func(to []byte) []byte
}

func dialHTTP(address string, appendNext func(to []byte) []byte) (caller, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &httpCaller{connection: connection, reader: bufio.NewReader(connection), appendNext: appendNext}, nil
}

func (c *httpCaller) call() (string, error) {
	c.request = c.appendNext(c.request[:0])
	if _, err := c.connection.Write(c.request); err != nil {
		return "", err
	}
	status, err := http1.ReadMessage(c.reader)
	if err != nil || strings.HasPrefix(status, "HTTP/1.1 200 ") {
		return "", err
	}
	return status, nil
}
