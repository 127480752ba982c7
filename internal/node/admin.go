package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// The admin port is HTTP because that is what probes and scrapers speak. Nothing that it
// answers changes anything, and none of it costs a command anything: figures are gathered
// when somebody asks.

const (
	// adminConnsMax bounds its connections, in use or idle: one more waits.
	adminConnsMax = 64
	// adminAtOnce bounds the answers of each page that are worked on at once; status asks
	// every node, and metrics look at every shard.
	adminAtOnce, probesAtOnce = 2, 16
	adminHeaderMax            = 8 << 10 // bytes
	adminReadMax              = 2 * time.Second
	adminWriteMax             = 10 * time.Second
	adminIdleMax              = time.Minute
	// adminStopMax is how long the end of a node waits for answers that are worked on; an
	// answer that has to wait for other nodes takes statusMax at most.
	adminStopMax = statusMax + time.Second
)

// serveAdmin answers on the admin port, if there is one, until stop is called. No answer
// is worked on after that: the node's memory may go.
func (n *Node) serveAdmin() (stop func()) {
	if n.admin == nil {
		return func() {}
	}
	all, over := context.WithCancel(context.Background())
	server := &http.Server{
		Handler: n.adminPages(), BaseContext: func(net.Listener) context.Context { return all },
		ReadHeaderTimeout: adminReadMax, ReadTimeout: adminReadMax, WriteTimeout: adminWriteMax, IdleTimeout: adminIdleMax,
		MaxHeaderBytes: adminHeaderMax,
	}
	server.ErrorLog, _ = zap.NewStdLogAt(n.log, zap.WarnLevel) // a panic of a page, too
	go func() {
		if err := server.Serve(netutil.LimitListener(n.admin, adminConnsMax)); !errors.Is(err, http.ErrServerClosed) {
			n.log.Warn("the admin port answers no more", zap.Error(err))
		}
	}()
	return func() {
		over()
		ctx, cancel := context.WithTimeout(context.Background(), adminStopMax)
		defer cancel()
		_ = server.Shutdown(ctx)
		_ = server.Close()
	}
}

// adminPages is what can be asked for. A pattern with GET takes HEAD as well, and answers
// every other method with 405.
func (n *Node) adminPages() http.Handler {
	pages := http.NewServeMux()
	pages.Handle("GET /{$}", atMost(probesAtOnce, n.indexPage))
	pages.Handle("GET /livez", atMost(probesAtOnce, n.livePage))
	pages.Handle("GET /readyz", atMost(probesAtOnce, n.readyPage))
	pages.Handle("GET /status", atMost(adminAtOnce, n.statusPage))
	pages.Handle("GET /metrics", atMost(adminAtOnce, n.metrics().ServeHTTP))
	return pages
}

// atMost bounds how many answers of a page are worked on at once. It refuses instead of
// making wait: who asks again later does not fill the connections.
func atMost(most int, page http.HandlerFunc) http.Handler {
	places := make(chan struct{}, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			page(w, r)
		default:
			say(w, http.StatusServiceUnavailable, fmt.Sprintf("%d others ask for this page right now: try again", most))
		}
	})
}

// say answers a sentence.
func say(w http.ResponseWriter, code int, sentence string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, sentence+"\n")
}

func (n *Node) indexPage(w http.ResponseWriter, _ *http.Request) {
	say(w, http.StatusOK, fmt.Sprintf(`AegisKV %s, node %s

/livez    200 while this process is sound; 503 and why: it should be started again
/readyz   200 while clients should be sent here; 503 and why (?verbose: every check)
/metrics  figures for Prometheus
/status   the cluster as this node sees it, in JSON: aegis status -o json`, Version, n.cfg.ID))
}

func (n *Node) statusPage(w http.ResponseWriter, _ *http.Request) {
	if why := n.early(); why != "" {
		say(w, http.StatusServiceUnavailable, why)
		return
	}
	b, err := n.operate([]string{"status"})
	if err != nil {
		say(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(append(b, '\n'))
}
