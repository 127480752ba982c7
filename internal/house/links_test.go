package house

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// unlinked says what a program must not link; a trailing slash bans all below.
var unlinked = map[string][]string{
	"./cmd/aegis": {module + "/chaos", module + "/chaos/", "testing", "github.com/anishathalye/porcupine", "github.com/redis/"},
	"./pkg/client": {
		"go.etcd.io/raft/", "github.com/hashicorp/memberlist", "go.etcd.io/bbolt", "go.uber.org/zap", "github.com/spf13/cobra",
		"github.com/redis/",
		module + "/internal/", module + "/multiraft", module + "/shardgroup", module + "/membership",
	},
	"./pkg/shardmap": {"net", "os/exec", "go.etcd.io/", "github.com/", "golang.org/"},
}

// forbidden lists the dependencies that are banned. Our own module begins with
// github.com too, and is not an outsider.
func forbidden(deps, banned []string) (violations []string) {
	for _, d := range deps {
		for _, b := range banned {
			if d == b || strings.HasSuffix(b, "/") && strings.HasPrefix(d, b) && (b != "github.com/" || !strings.HasPrefix(d, module)) {
				violations = append(violations, fmt.Sprintf("it links %s", d))
			}
		}
	}
	return violations
}

func TestProgramsLinkOnlyWhatTheyMay(t *testing.T) {
	for pkg, banned := range unlinked {
		cmd := exec.Command("go", "list", "-deps", pkg)
		cmd.Dir = "../.."
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps %s: %v", pkg, err)
		}
		deps := strings.Fields(string(out))
		if len(deps) < 10 {
			t.Fatalf("go list -deps %s names only %q", pkg, deps)
		}
		for _, v := range forbidden(deps, banned) {
			t.Errorf("%s: %s", pkg, v)
		}
	}
}

func TestLinksCanFail(t *testing.T) {
	deps := []string{"fmt", "go.uber.org/zap", "go.etcd.io/raft/v3", module + "/pkg/shardmap"}
	if got := forbidden(deps, []string{"go.uber.org/zap", "go.etcd.io/raft/", "github.com/"}); len(got) != 2 {
		t.Errorf("of two banned dependencies these were seen: %q", got)
	}
	if got := forbidden(deps, []string{"go.etcd.io/bbolt", "fm"}); len(got) != 0 {
		t.Errorf("nothing is banned, and yet: %q", got)
	}
}
