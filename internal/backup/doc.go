// Package backup is the directory that aegis backup writes: a file for each shard, as it was
// at one moment, and a manifest. It knows no cluster: who copies shards, and who restores
// them, stands in cmd/aegis.
//
//	manifest.json         what the backup is of, and the sum of every file
//	manifest.json.sha256  the sum of that, as sha256sum writes it
//	shard-00000.aegis     one file for each shard
//
// A directory without a manifest is a backup that did not come to its end. The files do not
// depend on the number of nodes or shards that they are restored into: entries are filed by
// their keys.
package backup
