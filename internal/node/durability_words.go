package node

import (
	"fmt"
	"strconv"
	"time"

	"github.com/baxromumarov/aegisKV/statemachine/wal"
	"github.com/baxromumarov/aegisKV/transport/redis"
)

// policy is what Redis would call the mode.
func (d *durability) policy() string {
	if d != nil && d.mode == wal.Fsync {
		return "always"
	}
	return "everysec"
}

// section is what INFO says of the log: under Redis's names where they mean the same, and
// under its own where they do not.
func (d *durability) section(loading bool) redis.InfoSection {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	s := redis.InfoSection{Name: "Persistence", Fields: [][2]string{{"loading", "0"}, {"aof_enabled", "0"}}}
	if d == nil {
		s.Fields = append(s.Fields, [2]string{"rdb_bgsave_in_progress", "0"})
		return s
	}
	s.Fields[1][1] = "1"
	s.Fields = append(s.Fields, [2]string{"aegis_wal_mode", d.mode.String()})
	if loading {
		_, left := d.progress.pace()
		s.Fields[0][1] = "1"
		s.Fields = append(s.Fields,
			[2]string{"loading_start_time", n(d.progress.begun.Unix())},
			[2]string{"loading_total_bytes", n(d.progress.total.Load())},
			[2]string{"loading_loaded_bytes", n(d.progress.done.Load())},
			[2]string{"loading_eta_seconds", n(int64(left / time.Second))})
		return s
	}
	status := "ok"
	if d.log.Err() != nil {
		status = "err"
	}
	s.Fields = append(s.Fields,
		[2]string{"aof_last_write_status", status},
		[2]string{"aof_current_size", n(d.log.Bytes())},
		[2]string{"aegis_wal_not_written", n(d.log.Backlog())},
		[2]string{"aegis_wal_not_synced", n(int64(d.log.Written() - d.log.Synced()))},
		[2]string{"aegis_wal_stall_ms", n(d.stalled().Milliseconds())},
		[2]string{"aegis_wal_read_frames", n(int64(d.found.Frames))},
		[2]string{"aegis_wal_read_ms", n(d.took.Milliseconds())},
		[2]string{"aegis_wal_read_damages", n(int64(len(d.found.Damages)))},
		[2]string{"aegis_wal_read_intact", strconv.FormatBool(d.found.Intact)})
	s.Fields = append(s.Fields, d.checkpoints.fields()...)
	return s
}

// line is what the banner says of the log.
func (d *durability) line() string {
	if d == nil {
		return "no write-ahead log"
	}
	return fmt.Sprintf("write-ahead log of mode %s in %s", d.mode, d.dir)
}
