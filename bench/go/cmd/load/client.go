package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"weir.dev/bench/internal/http1"
)

const (
	users   = 100_000
	tenants = 100
)

var countries = []string{"AE", "SA", "DE", "FR", "US", "IN", "BR", "JP"}

type target struct {
	address     string
	path        string
	connections int
}

// client is one connection. It is used by one goroutine.
type client struct {
	target     target
	connection net.Conn
	reader     *bufio.Reader
	random     *rand.Rand
	request    []byte
	latencies  []time.Duration
	// failures counts what is not a 200, by status line or error.
	failures map[string]int
	isBroken bool
}

func (t target) connect() ([]*client, error) {
	clients := make([]*client, t.connections)
	for i := range clients {
		connection, err := net.Dial("tcp", t.address)
		if err != nil {
			return nil, err
		}
		clients[i] = &client{
			target:     t,
			connection: connection,
			reader:     bufio.NewReader(connection),
			// The same users in the same order in every run.
			random:    rand.New(rand.NewPCG(1, uint64(i))),
			latencies: make([]time.Duration, 0, 1<<16),
			failures:  map[string]int{},
		}
	}
	return clients, nil
}

// send makes one request and records how long after `since` its answer was complete.
func (c *client) send(since time.Time) {
	if c.isBroken {
		c.failures["connection was lost before"]++
		return
	}
	c.request = c.appendRequest(c.request[:0])
	_, err := c.connection.Write(c.request)
	status := ""
	if err == nil {
		status, err = http1.ReadMessage(c.reader)
	}
	took := time.Since(since)
	switch {
	case err != nil:
		c.isBroken = true
		c.failures[err.Error()]++
	case !strings.HasPrefix(status, "HTTP/1.1 200 "):
		c.failures[status]++
	default:
		c.latencies = append(c.latencies, took)
	}
}

const body = `{"inputs":[{"name":"bytes","shape":[1,64],"datatype":"UINT8","data":[1,2,3,4,5,6,7,8]}]}`

// appendRequest writes what a client of an inference service sends, headers included.
func (c *client) appendRequest(to []byte) []byte {
	user := c.random.IntN(users)
	return fmt.Appendf(to, "POST %s HTTP/1.1\r\n"+
		"host: inference.example.com\r\n"+
		"user-agent: python-requests/2.32.3\r\n"+
		"accept: application/json\r\n"+
		"accept-encoding: gzip, deflate\r\n"+
		"content-type: application/json\r\n"+
		"content-length: %d\r\n"+
		"traceparent: 00-%016x%016x-%016x-00\r\n"+
		"x-user-id: user-%d\r\n"+
		"x-tenant: tenant-%d\r\n"+
		"x-country: %s\r\n"+
		"\r\n%s",
		c.target.path, len(body),
		c.random.Uint64(), c.random.Uint64(), c.random.Uint64(),
		user, user%tenants, countries[user%len(countries)], body)
}
