# AegisKV. `make demo` runs three nodes; `make test` runs every stage of .ci/stages.
GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build demo test test-short sim bench lint fmt

build:
	go build -trimpath -o bin/aegis ./cmd/aegis
	if [ -d cmd/aegis-chaos ]; then go build -trimpath -o bin/aegis-chaos ./cmd/aegis-chaos; fi

demo: build
	./bin/aegis demo

test:
	@bash .ci/stages all

test-short:
	@bash .ci/stages short

sim: build
	./bin/aegis-chaos sim --seeds 1-100

bench:
	go test -run '^$$' -bench . -benchtime 1s ./lru ./statemachine ./multiraft ./shardgroup ./transport/...

lint:
	@test -z "$$(go run $(GOFUMPT) -l . | tee /dev/stderr)" || (echo 'run: make fmt' >&2; exit 1)
	go vet ./...
	go run $(STATICCHECK) ./...

fmt:
	go run $(GOFUMPT) -w .
