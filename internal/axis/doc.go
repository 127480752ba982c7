// Package axis maps values to pixels for the drawings that are written by hand as
// SVG: scales, steps between ticks, and labels of durations. It owns arithmetic
// only and must know no other room.
package axis
