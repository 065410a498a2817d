package main

import (
	"math"
	"slices"
	"time"
)

type summary struct {
	// Requests that were answered well.
	Requests int            `json:"requests"`
	Failures map[string]int `json:"failures"`
	Seconds  float64        `json:"seconds"`
	// Of answered requests. Null when there were none.
	LatencyMs *percentiles `json:"latencyMs"`
}

type percentiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func summarize(clients []*client, took time.Duration) summary {
	var latencies []time.Duration
	failures := map[string]int{}
	for _, c := range clients {
		latencies = append(latencies, c.latencies...)
		for what, count := range c.failures {
			failures[what] += count
		}
	}
	return summary{
		Requests:  len(latencies),
		Failures:  failures,
		Seconds:   took.Seconds(),
		LatencyMs: percentilesOf(latencies),
	}
}

// percentilesOf is exact: every latency is kept, so no histogram has to round.
func percentilesOf(latencies []time.Duration) *percentiles {
	if len(latencies) == 0 {
		return nil
	}
	slices.Sort(latencies)
	at := func(share float64) float64 {
		rank := int(math.Ceil(share*float64(len(latencies)))) - 1
		return float64(latencies[max(0, rank)].Microseconds()) / 1000
	}
	return &percentiles{P50: at(0.5), P90: at(0.9), P99: at(0.99), P999: at(0.999), Max: at(1)}
}
