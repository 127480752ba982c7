package clients

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// demoLimit is how long after the build a demo may take until it serves.
const demoLimit = 10 * time.Second

// TestMakeDemo runs `make demo`, pastes the lines that it prints, and ends it as
// Ctrl-C does: nothing stays behind.
func TestMakeDemo(t *testing.T) {
	makes := func(target string) *exec.Cmd {
		cmd := exec.Command("make", "--no-print-directory", target)
		cmd.Dir, cmd.Stderr = repository(t), os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the whole group
		return cmd
	}
	if err := makes("build").Run(); err != nil {
		t.Fatal(err)
	}
	demo := makes("demo")
	out, err := demo.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	from := time.Now()
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	interrupt := func() { _ = syscall.Kill(-demo.Process.Pid, syscall.SIGINT) }
	late := time.AfterFunc(2*demoLimit, interrupt)
	defer late.Stop()
	text := readDemo(out)
	took := time.Since(from)
	t.Logf("the demo serves after %v", took.Round(time.Millisecond))
	if took > demoLimit {
		t.Errorf("that is more than %v", demoLimit)
	}
	pasted := 0
	for _, line := range regexp.MustCompile(`(?m)^    (\S.*)$`).FindAllStringSubmatch(text, -1) {
		if strings.HasPrefix(line[1], "redis-cli") && !needs(t, "redis-cli", "redis-tools") {
			continue
		}
		paste := exec.Command("sh", "-c", line[1])
		paste.Dir = repository(t)
		got, err := paste.CombinedOutput()
		if err != nil || !regexp.MustCompile(`OK|world|healthy`).Match(got) {
			t.Errorf("%s: %v\n%s", line[1], err, got)
		}
		pasted++
	}
	if pasted == 0 {
		t.Errorf("nothing to paste in\n%s", text)
	}
	from = time.Now()
	interrupt()
	rest, _ := io.ReadAll(out)
	if err := demo.Wait(); err != nil && err.Error() != "signal: interrupt" { // make ends so, the demo before it
		t.Errorf("the demo ended with %v\n%s", err, rest)
	}
	t.Logf("it is gone %v after Ctrl-C", time.Since(from).Round(time.Millisecond))
	dir := regexp.MustCompile(`removes (\S+)`).FindStringSubmatch(text)
	if dir == nil {
		t.Fatalf("the demo names no directory:\n%s", text)
	}
	if _, err := os.Stat(dir[1]); !os.IsNotExist(err) {
		t.Errorf("%s is left behind (%v)", dir[1], err)
	}
}

// readDemo reads what a demo prints, to the line after which it serves.
func readDemo(out io.Reader) string {
	var text strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C") {
			break
		}
	}
	return text.String()
}
