package main

import (
	"fmt"
	"time"
)

// caller is one connection that makes one request at a time.
type caller interface {
	// call waits for the whole answer. It returns "" when all is well, otherwise what is not; an
	// error means that the connection is lost.
	call() (failure string, err error)
}

// client counts what comes of the requests of a caller. It is used by one goroutine.
type client struct {
	caller    caller
	latencies []time.Duration
	// failures counts what is no success, by status or error.
	failures map[string]int
	isBroken bool
}

func connect(connections int, dial func(number int) (caller, error)) ([]*client, error) {
	clients := make([]*client, connections)
	for i := range clients {
		caller, err := dial(i)
		if err != nil {
			return nil, err
		}
		clients[i] = &client{
			caller:    caller,
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
	failure, err := c.caller.call()
	took := time.Since(since)
	switch {
	case err != nil:
		c.isBroken = true
		c.failures[fmt.Sprint(err)]++
	case failure != "":
		c.failures[failure]++
	default:
		c.latencies = append(c.latencies, took)
	}
}
