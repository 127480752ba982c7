package node

import "github.com/prometheus/client_golang/prometheus"

func grows(help string) figure  { return figure{help, prometheus.CounterValue} }
func stands(help string) figure { return figure{help, prometheus.GaugeValue} }

// unmeasured are fields whose numbers measure nothing here: names, and what Redis's
// clients want to read.
var unmeasured = []string{
	"redis_version", "aegis_version", "aegis_node_id", "aegis_node_name", "run_id", "arch_bits", "process_id", "tcp_port", "uptime_in_days",
	"cluster_enabled", "master_repl_offset", "used_memory_startup", "mem_not_counted_for_evict",
}

// described are the fields of INFO that hold a number.
var described = map[string]figure{
	"uptime_in_seconds": grows("Seconds since this process began to take clients."),

	"connected_clients": stands("Connections of clients."),
	"maxclients":        stands("Connections of clients that are taken at most."),
	"blocked_clients":   stands("Clients that wait in a command like WAIT."),
	"tracking_clients":  stands("Clients that are told when keys they have read change (CLIENT TRACKING)."),

	"used_memory":             stands("Bytes of the limit in use: stores, rings, connections and transfers."),
	"used_memory_rss":         stands("Bytes of the machine's memory that the process takes."),
	"used_memory_peak":        stands("The most that used_memory was whenever somebody looked, in bytes."),
	"used_memory_overhead":    stands("Bytes in use that are no keys and values."),
	"used_memory_dataset":     stands("Bytes of keys and values."),
	"allocator_allocated":     stands("Bytes asked for, of the stores' pool and the Go heap together."),
	"allocator_active":        stands("Bytes in memory that serves what was asked for."),
	"allocator_resident":      stands("Bytes that the system has given."),
	"maxmemory":               stands("The limit (--max-memory-bytes), in bytes."),
	"allocator_frag_ratio":    stands("allocator_active for each byte of allocator_allocated."),
	"allocator_frag_bytes":    stands("allocator_active less allocator_allocated, in bytes."),
	"allocator_rss_ratio":     stands("allocator_resident for each byte of allocator_active."),
	"allocator_rss_bytes":     stands("allocator_resident less allocator_active, in bytes."),
	"rss_overhead_ratio":      stands("used_memory_rss for each byte of allocator_resident."),
	"rss_overhead_bytes":      stands("used_memory_rss less allocator_resident, in bytes."),
	"mem_fragmentation_ratio": stands("used_memory_rss for each byte of used_memory."),
	"mem_fragmentation_bytes": stands("used_memory_rss less used_memory, in bytes."),
	"mem_replication_backlog": stands("Bytes of replication rings."),
	"mem_clients_normal":      stands("Bytes of connections: themselves, unfinished commands and unsent replies."),
	"aegis_stores_limit":      stands("Bytes that keys, values and their index may take at most."),
	"aegis_stores_budget":     stands("Bytes that the shards of this node are held to now."),
	"aegis_stores_held":       stands("Bytes of the stores of this node's shards."),
	"aegis_stores_live":       stands("Bytes of keys and values in them."),
	"aegis_stores_dead":       stands("Bytes of removed entries in them that are not packed away yet."),
	"aegis_stores_idle":       stands("Bytes kept ready for stores."),
	"aegis_rings_limit":       stands("Bytes that replication rings may take at most."),
	"aegis_connections_limit": stands("Bytes that connections may take at most."),
	"aegis_transfers_limit":   stands("Bytes that may wait to be sent to other nodes at most."),
	"aegis_transfers":         stands("Bytes that wait to be sent to other nodes."),
	"aegis_go_heap":           stands("Bytes that the Go heap has from the system."),

	"loading":                  stands("1 while the write-ahead log is read."),
	"loading_start_time":       stands("When reading the log began, in seconds since 1970."),
	"loading_total_bytes":      stands("Bytes of image and log that are to be read."),
	"loading_loaded_bytes":     stands("Bytes of them that are read."),
	"loading_eta_seconds":      stands("Seconds that the rest will take."),
	"aof_enabled":              stands("1 with a write-ahead log."),
	"aof_last_write_status":    stands("1 while the log can be written, 0 after an error."),
	"aof_current_size":         stands("Bytes of the log."),
	"aegis_wal_not_written":    stands("Bytes of the log that the system does not have yet."),
	"aegis_wal_not_synced":     stands("Bytes of the log that are not on the disk yet."),
	"aegis_wal_stall_ms":       stands("Milliseconds for which the oldest of them have waited."),
	"aegis_wal_read_frames":    stands("Frames that were read from the log at the start."),
	"aegis_wal_read_ms":        stands("Milliseconds that it took."),
	"aegis_wal_read_damages":   stands("Damages that were found then."),
	"aegis_wal_read_intact":    stands("1 if the last stop ended the log as it should."),
	"rdb_bgsave_in_progress":   stands("1 while an image is saved."),
	"rdb_last_save_time":       stands("When an image was last complete, in seconds since 1970; 0 = never."),
	"rdb_last_bgsave_status":   stands("1 if the last save went well."),
	"rdb_last_bgsave_time_sec": stands("Seconds that it took."),
	"rdb_saves":                grows("Images that were saved."),
	"aegis_time_ms":            stands("The node's clock, in milliseconds since 1970."),
	"aegis_save_failures":      grows("Saves that failed."),
	"aegis_last_save_begun_ms": stands("When the last save began, in milliseconds since 1970."),
	"aegis_save_shards_done":   stands("Shards of the running save that are done."),
	"aegis_save_shards":        stands("Shards of the cluster."),
	"aegis_image_bytes":        stands("Bytes of the image."),
	"aegis_image_read_shards":  stands("Shards that were read from the image at the start."),
	"aegis_image_read_ms":      stands("Milliseconds that it took."),

	"total_connections_received": grows("Connections of clients since the start."),
	"total_commands_processed":   grows("Commands that were run."),
	"total_error_replies":        grows("Commands that were answered with an error."),
	"rejected_connections":       grows("Connections that were refused because of maxclients."),
	"evicted_clients":            grows("Connections that were closed because all together held too much."),
	"tracking_total_keys":        stands("Keys of which is remembered who has read them."),
	"tracking_total_items":       stands("Readers of these keys, counted for each key."),
	"tracking_total_prefixes":    stands("Prefixes that clients want to hear of."),
	"aegis_forwarded_commands":   grows("Commands that the gateway port sent to other nodes."),
	"aegis_forwarded_again":      grows("Rounds in which some of them were sent again."),
	"aegis_forwarded_lost":       grows("Gateway connections that were closed because an outcome was not known."),
	"keyspace_hits":              grows("Reads that found their key."),
	"evicted_keys":               grows("Keys that this node has evicted because memory was full."),
	"keyspace_misses":            grows("Reads that did not find their key."),

	"connected_slaves":     stands("Copies of each key beside the one that is served, at most."),
	"aegis_groups_held":    stands("Groups that this node serves."),
	"aegis_catch_up_bytes": grows("Bytes sent to copies that had to be reverted, compared or filled."),
	"aegis_fill_rate":      stands("Bytes a second sent to copies that are filled, now."),
	"aegis_fill_rate_max":  stands("Bytes a second that may be sent to them (--fill-bytes-per-second); 0 = any."),

	"used_cpu_sys":           grows("Seconds of CPU in the system."),
	"used_cpu_user":          grows("Seconds of CPU in the program."),
	"used_cpu_sys_children":  grows("The same of its children, of which it has none."),
	"used_cpu_user_children": grows("The same of its children, of which it has none."),

	"aegis_map_epoch":        stands("Which map of the cluster this node knows: higher is newer."),
	"aegis_rebalance_halted": stands("1 while rebalancing is halted by operators (aegis rebalance --cancel), until aegis rebalance --resume."),
}

// series are those of which there are many.
var series = []fieldSeries{
	{"cmdstat_", "command", map[string]namedFigure{
		"calls":          {"command_calls", grows("Runs of a command.")},
		"usec":           {"command_usec", grows("Microseconds that they took.")},
		"rejected_calls": {"command_rejected_calls", grows("Commands that were refused before they were run.")},
		"failed_calls":   {"command_failed_calls", grows("Runs that ended with an error.")},
	}},
	{"errorstat_", "error", map[string]namedFigure{"count": {"error_replies", grows("Replies that were errors, by their first word.")}}},
	{"latency_percentiles_usec_", "command", map[string]namedFigure{
		"p50":   {"command_latency_p50_usec", stands("Microseconds that half of the runs did not exceed.")},
		"p99":   {"command_latency_p99_usec", stands("Microseconds that 99 percent of the runs did not exceed.")},
		"p99.9": {"command_latency_p999_usec", stands("Microseconds that 99.9 percent of the runs did not exceed.")},
	}},
	{"db0", "", map[string]namedFigure{"keys": {"keys", stands("Keys of the groups that this node serves.")}}},
}
