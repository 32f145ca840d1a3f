module github.com/cygni/cygni-go

go 1.23
