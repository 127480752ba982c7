package sim

import "time"

// heal ends every fault.
func (w *World) heal() {
	w.note("heal")
	w.healed = true
	for _, p := range w.nodes {
		p.paused = 0
		p.clocks.fold(w.now)
		p.clocks.asleep, p.clocks.slew = false, 1
		p.clocks.rate = min(max(p.clocks.rate, 1-rateError), 1+rateError)
		p.disk.Fail(nil)
		p.drive.stall = 0
		w.healUDP(p)
	}
	for _, p := range w.nodes {
		if p.up && (p.leaving || p.drive.failed) {
			p.crash()
		}
		if !p.up && !p.gone && !p.asking {
			p.start()
		}
	}
	for _, p := range w.nodes {
		for _, o := range w.nodes {
			if o != p {
				l := w.link(p.id, o.id)
				l.setCut(false)
				l.ackUp()
				l.loss, l.delayMax = 0, time.Millisecond
			}
		}
	}
	w.reconnect()
}
