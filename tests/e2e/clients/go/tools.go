//go:build tools

package main

import _ "github.com/fullstorydev/grpcurl/cmd/grpcurl" // keeps it in go.mod: the tests build it
