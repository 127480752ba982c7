# make build       bin/aegis and bin/aegis-chaos
# make demo        three nodes on this machine, gone at Ctrl-C
# make test        everything, one line per stage (25 minutes or less on two cores)
# make test-short  the same without race detector, fuzzing, long simulations and real clients (3 minutes or less)
# make chaos       every scenario of aegis-chaos run on real processes, with async and majority writes, two side by side; the
#                  report is bin/chaos-*/report.html (15 minutes): make chaos CHAOS_SEED=7
# make chaos-timed how long groups are away: 30 faults of each kind, one after the other, each kind with its bar
#                  (20 minutes; on a machine that does nothing else)
# make chaos-smoke a short choice of them, three side by side (half a minute): make chaos-smoke CHAOS='--seed 7 --nodes 5'
# make sim         simulated clusters from seeds: make sim SIM_SEEDS=1-100 SIM_DURATION=60s
# make sim-long    seeds that were never run, for a time, added to docs/chaos/simulator/record.json: cluster-hours, faults,
#                  rare places, violations; ended (Ctrl-C finishes the seeds under way) and begun again at will, by the program
#                  of one commit: make sim-long SIM_LONG='--for 8h --hours 2000 --anew', then bin/aegis-chaos sim-long --hours 2000
# make bench       operations per CPU-second and latency beside redis-server (3 minutes or less): make bench BENCH='-o json'
# make bench-memory  bytes per entry beside redis-server, 5,000,000 entries of 16 + 100 B (2 minutes): make bench-memory BENCH='--entries 1000000 -o json'
# make bench-durability  writes a second with --wal off, write and fsync beside redis-server's append-only file, and p99
#                  while an image is saved; each bar with met or missed (4 minutes; on a machine that does nothing else)
# make hitratio    hit ratio of the store beside other caches, LRU and OPT, drawn to bin/hitratio.png; recorded traces
#                  come from AEGIS_TRACES or ../shared/traces, else synthetic ones: make hitratio HITRATIO='-o json'
# make scale       plans, group 0 and traffic of 10, 100 and 1,000 nodes with 16,384 shards, drawn to bin/scale.svg
# make microbench  Go benchmarks of single rooms
# make fuzz        every fuzz target in turn: make fuzz FUZZTIME=10m
# make sequences   100,000 random command sequences on a node and on redis-server, compared, and 10,000 of two
#                  connections with MULTI and WATCH (a minute):
#                  make sequences SEQUENCES=1000000
# make accept      real processes with the numbers of the bars: 30 kills, 6 pauses of 10 s, 10 leaves, two minutes of
#                  busy cores, a minute of writing beyond memory, 80 kills of nodes with a log, three nodes to five and back, each restarted and one replaced, a join of 2 GiB without and
#                  with a throttle, 20 kills in the midst of moves, a follower frozen twice for two minutes, three nodes of 512 MiB filled, six, and three again (34 minutes; on a machine that does nothing else): make accept ACCEPT=Kills for one of them
# make clients     real clients of other languages against three nodes, in every phase; writes docs/redis-clients.json
#                  (npm, nodejs, python3-redis; what is not installed is named as not run)
# make docs        docs/redis-compatibility.md, from the command table and test results
# make selftest    the bugs M01 to M24 seeded: each is noticed by the property named for it, reported, replayed, and a
#                  clean build is quiet; four of them in real processes (3 minutes)
# make promises    docs/promises.md, from README and the reports in docs/chaos
# make lint fmt    formatting, vet, staticcheck
#
# The tools are pinned here and not in go.mod: users of the module need neither.
export GOFUMPT     := mvdan.cc/gofumpt@v0.12.0
export STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

SIM_SEEDS    ?= 1-1000
SIM_DURATION ?= 300s
SIM_LONG     ?=
CHAOS        ?=
CHAOS_SEED   ?= 0
CHAOS_SAFE    = --duration 8s --at-once 2 --budgets=false
BENCH        ?=
BENCH_TIME   ?= 1s
FUZZTIME     ?= 30s
SEQUENCES    ?= 100000
HITRATIO     ?=
SCALE        ?=
TRACES       ?= $(or $(AEGIS_TRACES),$(wildcard ../shared/traces))
ACCEPT       ?= .
MODULES       = $(shell find . -name go.mod -not -path './.*/*' -exec dirname {} \;)

.PHONY: build chaos chaos-timed chaos-smoke demo test test-short sim sim-long bench bench-memory bench-durability hitratio scale microbench fuzz sequences accept clients docs selftest promises lint fmt

build:
	@mkdir -p bin
	@for c in $(notdir $(wildcard cmd/*)); do CGO_ENABLED=0 go build -trimpath -o bin/$$c ./cmd/$$c || exit; done

demo: build
	@exec ./bin/aegis demo

test:
	@.ci/stages all

test-short:
	@.ci/stages short

sim: build
	./bin/aegis-chaos sim --seeds $(SIM_SEEDS) --duration $(SIM_DURATION)

sim-long: build
	./bin/aegis-chaos sim-long $(SIM_LONG)

chaos: build
	CGO_ENABLED=0 go build -trimpath -tags chaos -o bin/aegis-faulty ./cmd/aegis
	./bin/aegis-chaos run --scenario all --ack async --seed $(CHAOS_SEED) $(CHAOS_SAFE) --out bin/chaos-async $(CHAOS)
	./bin/aegis-chaos run --scenario all --ack majority --seed $(CHAOS_SEED) $(CHAOS_SAFE) --out bin/chaos-majority $(CHAOS)

chaos-timed: build
	./bin/aegis-chaos run --scenario timed --cycles 30 --seed $(CHAOS_SEED) --out bin/chaos-timed $(CHAOS)

chaos-smoke: build
	./bin/aegis-chaos run --scenario smoke --duration 6s --at-once 3 --budgets=false --out bin/chaos-smoke $(CHAOS)

bench: build
	./bin/aegis-chaos bench $(BENCH)

bench-durability: build
	./bin/aegis-chaos bench-durability $(BENCH)

bench-memory: build
	./bin/aegis-chaos bench-memory $(BENCH)

hitratio:
	@mkdir -p bin
	cd chaos/hitratio && go run . -traces '$(abspath $(TRACES))' -png '$(CURDIR)/bin/hitratio.png' $(HITRATIO)

scale: build
	./bin/aegis-chaos scale --svg bin/scale.svg $(SCALE)

microbench:
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCH_TIME) ./...

fuzz:
	@FUZZTIME=$(FUZZTIME) .ci/stages fuzz

sequences:
	AEGIS_TEST_SEQUENCES=$(SEQUENCES) go test -count=1 -v -timeout 30m -run "Random(Sequences|Transactions)" ./internal/node

accept:
	cd chaos/clients && AEGIS_TEST_KILLS=30 AEGIS_TEST_PAUSES=6 AEGIS_TEST_PAUSE=10s AEGIS_TEST_LEAVES=10 AEGIS_TEST_BUSY=2m AEGIS_TEST_WARM=10s AEGIS_TEST_OUTAGE=30s AEGIS_TEST_OUTAGE_KEYS=1000000 AEGIS_TEST_CHURN=60s AEGIS_TEST_DURABLE=20 AEGIS_TEST_SLOW=20s AEGIS_TEST_SPACE=100 AEGIS_TEST_FLIPS=200 AEGIS_TEST_IDLE=30s AEGIS_TEST_REPLACED=5 AEGIS_TEST_ELASTIC=20s AEGIS_TEST_ELASTIC_KEYS=200000 AEGIS_TEST_JOINS=2048 AEGIS_TEST_MOVE_KILLS=20 AEGIS_TEST_MOVE_KEYS=20000 AEGIS_TEST_FROZEN=2m AEGIS_TEST_CAPACITY=536870912 \
		go test -count=1 -v -timeout 60m -run '$(ACCEPT)' .

clients:
	cd chaos/clients/foreign && npm install --no-audit --no-fund --silent
	cd chaos/clients && AEGIS_TEST_RECORD=1 go test -count=1 -v -timeout 20m -tags foreign -run 'EveryPhase' .
	$(MAKE) docs

selftest:
	@mkdir -p bin
	go build -tags mutants -o bin/aegis-chaos-mutants ./cmd/aegis-chaos
	./bin/aegis-chaos-mutants selftest --out bin/chaos-selftest

promises:
	go run ./cmd/aegis-chaos promises $(wildcard docs/chaos/*.json)

docs:
	go test -count=1 -run PageOnCompatibility ./internal/node -rewrite

lint:
	@test -z "$$(find . -name '*.go' -not -path './.*/*' | xargs go run $(GOFUMPT) -l | tee /dev/stderr)"
	@for m in $(MODULES); do (cd $$m && go vet ./... && go run $(STATICCHECK) ./...) || exit; done

fmt:
	@find . -name '*.go' -not -path './.*/*' | xargs go run $(GOFUMPT) -w
