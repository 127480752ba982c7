package peer

import (
	"context"
	"time"

	"github.com/baxromumarov/aegisKV/chaos/report"
)

const (
	probeEvery = 20 * time.Millisecond
	probeLimit = 50 * time.Millisecond
	cellStep   = 100 * time.Millisecond
)

// probe reads and writes one key of a range again and again, each in turn, and never
// tries the same again.
type probe struct {
	run           *run
	of            int
	client        *client
	reads, writes []time.Duration // when each success ended
	cells         []byte
}

func (p *probe) work(ctx context.Context) {
	defer p.client.close()
	key := "p:{" + p.client.routes.tags[p.of] + "}"
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if p.once("SET", key, "v") {
			p.writes = append(p.writes, p.run.now())
		}
		if p.once("GET", key) {
			p.reads = append(p.reads, p.run.now())
		}
	}
}

// once says whether a command succeeded, and colours the cell of its moment.
func (p *probe) once(command ...string) bool {
	a := p.client.do(p.of, command)
	letter := byte(report.CellOK)
	switch {
	case a.outcome == report.OK:
	case a.word == "CLUSTERDOWN" || a.word == "NOLEADER":
		letter = report.CellNoHolder
	default:
		letter = report.CellError
	}
	i := int(p.run.now() / cellStep)
	for len(p.cells) <= i {
		p.cells = append(p.cells, report.CellUnseen)
	}
	if p.cells[i] == report.CellUnseen || p.cells[i] == report.CellOK {
		p.cells[i] = letter
	}
	return a.outcome == report.OK
}
