package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// Report is a whole run.
type Report struct {
	Machine Machine       `json:"machine"`
	Redis   string        `json:"redis"` // its version, or why it is not there
	Aegis   string        `json:"aegis"`
	Rounds  int           `json:"rounds"`
	Window  time.Duration `json:"windowNanoseconds"`
	Conns   int           `json:"connections"`
	Keys    int           `json:"keys"`
	Took    time.Duration `json:"tookNanoseconds"`
	Rows    []Row         `json:"rows"`
	Copies  []Copies      `json:"leaseholderAndFollowers,omitempty"`
}

// Machine is where the run was made.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
	Load   string `json:"loadAverageBefore"`
	Pinned string `json:"pinned"`
}

// JSON writes the report as one object.
func (r Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report as a table.
func (r Report) Text(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, Linux %s, %s; load average before: %s; %s\n", m.CPU, m.Cores, m.Kernel, m.Go, m.Load, m.Pinned)
	fmt.Fprintf(w, "%s beside %s; %d connections, %d keys of %d B on one node, else %d at most, %d rounds of %v; three nodes: 3 copies of every key, redis-server as a primary with 2 replicas\n",
		r.Aegis, r.Redis, r.Conns, r.Keys, valueSizes[0], keysMax, r.Rounds, r.Window)
	fmt.Fprintln(w, "floor: the ratio that is promised; echo: a server that answers and does nothing else, in the same rounds")
	fmt.Fprintln(w, "op/CPU-s: operations per CPU-second of all server processes, median of the rounds; latency in microseconds from the intended time")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "nodes\top\t-P\tvalue\toffered/s\taegis op/CPU-s\tp50\tp99\tp999\tredis op/CPU-s\tp50\tp99\tp999\tratio\tspread\tfloor\techo p50\tp99\t")
	for _, row := range r.Rows {
		row.text(t)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, row := range r.Rows {
		row.remarks(w)
	}
	if err := copiesText(w, r.Keys, r.Copies); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "took %v\n", r.Took.Round(time.Second))
	return err
}

func (r Row) text(w io.Writer) {
	offered := fmt.Sprint(r.Offered)
	if r.Offered == 0 {
		offered = "all"
	}
	fmt.Fprintf(w, "%d\t%s\t%d\t%d B\t%s\t", r.Nodes, r.Op, r.Depth, r.Value, offered)
	r.Aegis.text(w)
	if r.Redis == nil {
		fmt.Fprint(w, "-\t-\t-\t-\t-\t-\t")
	} else {
		r.Redis.text(w)
		fmt.Fprintf(w, "%.2f\t%.2f-%.2f\t", r.Ratio, r.RatioLow, r.RatioHigh)
	}
	if r.Floor > 0 {
		fmt.Fprintf(w, "%.2f\t", r.Floor)
	} else {
		fmt.Fprint(w, "-\t")
	}
	if r.Echo == nil {
		fmt.Fprint(w, "-\t-\t\n")
		return
	}
	fmt.Fprintf(w, "%.0f\t%.0f\t\n", r.Echo.P50, r.Echo.P99)
}

func (f Figure) text(w io.Writer) {
	fmt.Fprintf(w, "%.0f\t%.0f\t%.0f\t%.0f\t", f.OpsPerCPU, f.P50, f.P99, f.P999)
}

// remarks says what a reader of the row must know.
func (r Row) remarks(w io.Writer) {
	if r.Saturated {
		served := fmt.Sprintf("aegis %.0f/s", r.Aegis.Rate)
		if r.Redis != nil {
			served += fmt.Sprintf(", redis %.0f/s", r.Redis.Rate)
		}
		fmt.Fprintf(w, "%s: not all that was offered was served (%s); latency is that of a queue\n", r.Name(), served)
	}
	if r.Aegis.Errors > 0 {
		fmt.Fprintf(w, "%s: %d error replies of aegis, the first: %s\n", r.Name(), r.Aegis.Errors, r.Aegis.FirstError)
	}
	if r.Redis != nil && r.Redis.Errors > 0 {
		fmt.Fprintf(w, "%s: %d error replies of redis, the first: %s\n", r.Name(), r.Redis.Errors, r.Redis.FirstError)
	}
}
