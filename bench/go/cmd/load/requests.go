package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
)

const (
	users   = 100_000
	tenants = 100
)

var countries = []string{"AE", "SA", "DE", "FR", "US", "IN", "BR", "JP"}

const body = `{"inputs":[{"name":"bytes","shape":[1,64],"datatype":"UINT8","data":[1,2,3,4,5,6,7,8]}]}`

// usersOf writes what clients of an inference service send through a mesh: the same users in the
// same order in every run.
func usersOf(path string, number int) func(to []byte) []byte {
	random := rand.New(rand.NewPCG(1, uint64(number)))
	return func(to []byte) []byte {
		user := random.IntN(users)
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
			path, len(body),
			random.Uint64(), random.Uint64(), random.Uint64(),
			user, user%tenants, countries[user%len(countries)], body)
	}
}

// httpRequests are the bodies as requests to a path, in turn from the one with this number on.
func httpRequests(path string, bodies [][]byte, number int) func(to []byte) []byte {
	requests := make([][]byte, len(bodies))
	for i, body := range bodies {
		requests[i] = fmt.Appendf(nil, "POST %s HTTP/1.1\r\n"+
			"host: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s",
			path, len(body), body)
	}
	next := inTurn(requests, number)
	return func(to []byte) []byte { return append(to, next()...) }
}

func inTurn(messages [][]byte, number int) func() []byte {
	return func() []byte {
		number++
		return messages[number%len(messages)]
	}
}

// readBodies reads one body a line: JSON, or base64 of a message.
func readBodies(file string, isBase64 bool) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	if len(lines[0]) == 0 {
		return nil, errors.New(file + " holds no body")
	}
	if !isBase64 {
		return lines, nil
	}
	for i, line := range lines {
		if lines[i], err = base64.StdEncoding.AppendDecode(nil, line); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, i+1, err)
		}
	}
	return lines, nil
}
