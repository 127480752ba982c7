// Package report is what a run of the chaos suite leaves behind: report.json with a
// versioned schema, one self-contained report.html for people, junit.xml for
// machines that count. It owns what a report says and how it looks; it draws what it
// is given and judges nothing. It knows no other room but internal/axis, so that every
// harness, and whoever compares two runs, may fill and read it.
package report
