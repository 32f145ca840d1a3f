module github.com/cygni/cygni-go/calls

go 1.23

require github.com/cygni/cygni-go v0.0.0

replace github.com/cygni/cygni-go => ../../sdk/go
