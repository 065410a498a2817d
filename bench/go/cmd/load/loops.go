package main

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// closedLoop keeps every connection busy: the most that the target can do.
func closedLoop(clients []*client, duration time.Duration) {
	deadline := time.Now().Add(duration)
	var done sync.WaitGroup
	for _, c := range clients {
		done.Go(func() {
			for now := time.Now(); now.Before(deadline) && !c.isBroken; now = time.Now() {
				c.send(now)
			}
		})
	}
	done.Wait()
}

// openLoop sends at a constant rate whatever the answers do, and measures from the moment a request
// was due, not from when a connection got to it. So a stall is seen by every request that it delays
// (no coordinated omission).
func openLoop(clients []*client, rate float64, duration time.Duration) {
	count := int(rate * duration.Seconds())
	due := make(chan time.Time, count)
	var done sync.WaitGroup
	for _, c := range clients {
		done.Go(func() {
			for at := range due {
				c.send(at)
			}
		})
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	for i := range count {
		at := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		sleepUntil(at)
		due <- at
	}
	close(due)
	done.Wait()
}

// sleepUntil asks the kernel, because timers of Go's own wake up to a millisecond late when the
// program is otherwise idle.
func sleepUntil(at time.Time) {
	for wait := time.Until(at); wait > 0; wait = time.Until(at) {
		nap := syscall.NsecToTimespec(wait.Nanoseconds())
		// Interrupted or not: the loop looks at the clock again.
		_ = syscall.Nanosleep(&nap, nil)
	}
}
