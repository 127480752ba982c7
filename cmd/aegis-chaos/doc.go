// Command aegis-chaos checks AegisKV's word: so far with the simulator. It is
// never linked into aegis.
package main
