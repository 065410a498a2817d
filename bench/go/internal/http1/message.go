// Package http1 reads as much HTTP/1.1 as the load generator and its upstream need, and no more:
// what they cost is CPU that the measured processes do not get.
package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

const contentLength = "content-length:"

// ReadMessage reads one message whose body, if any, has a content-length, and drops the body.
// It returns the first line without its line end.
func ReadMessage(from *bufio.Reader) (string, error) {
	line, err := from.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	first := string(bytes.TrimRight(line, "\r\n"))
	length := 0
	for {
		line, err = from.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if hasPrefixFold(line, "transfer-encoding:") {
			return "", errors.New("a body without content-length is not read here")
		}
		if hasPrefixFold(line, contentLength) {
			text := string(bytes.TrimSpace(line[len(contentLength):]))
			if length, err = strconv.Atoi(text); err != nil {
				return "", fmt.Errorf("content-length %q is no number", text)
			}
		}
	}
	_, err = from.Discard(length)
	return first, err
}

func hasPrefixFold(line []byte, prefix string) bool {
	return len(line) >= len(prefix) && bytes.EqualFold(line[:len(prefix)], []byte(prefix))
}
