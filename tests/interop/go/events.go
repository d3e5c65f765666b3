package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"
)

var (
	outLock sync.Mutex
	started = time.Now()
)

type fields map[string]any

// out prints an event as one line.
func out(event string, f fields) {
	line := fields{"event": event, "t": time.Since(started).Milliseconds()}
	for k, v := range f {
		line[k] = v
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	outLock.Lock()
	defer outLock.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func failed(where string, err error) {
	out("error", fields{"where": where, "message": err.Error()})
}
