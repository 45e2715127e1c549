package report

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// The chart is drawn on a grid of pixels: a row for each target, whose ratio stands on a logarithmic axis that is scaled
// so that every target is the line at one.
const (
	chartWidth = 1090
	chartLeft  = 600
	chartRight = 950
	rowHeight  = 22
	chartTop   = 64
	lowest     = 1.0 / 4
	highest    = 4.0
)

const (
	colourMet    = "#2f855a"
	colourMissed = "#c53030"
	colourInk    = "#1a202c"
	colourFaint  = "#718096"
	colourGrid   = "#e2e8f0"
)

// chart is the targets as a picture: right of the line is better than asked for.
func (r *Report) chart() string {
	var rows []*Row
	for _, row := range r.Rows {
		if row.Target != nil && row.ID != "sane" {
			rows = append(rows, row)
		}
	}
	height := chartTop + rowHeight*len(rows) + 36
	var b strings.Builder
	draw := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	draw(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`, chartWidth, height, chartWidth, height)
	draw(`<title>Each ratio as a share of its target</title>`)
	draw(`<rect width="100%%" height="100%%" fill="#ffffff"/>`)
	title := "Ratios as shares of their targets: median, and least to most of all rounds"
	if r.Void {
		title = "This run is void: " + strings.Join(r.VoidBecause, "; ")
	}
	draw(`<text x="16" y="26" font-size="15" font-weight="600" fill="%s">%s</text>`, colourInk, escape(clip(title, 120)))
	bottom := height - 30
	for share := lowest; share <= highest; share *= 2 {
		x := axis(share)
		draw(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`, x, chartTop-10, x, bottom, colourGrid)
		draw(`<text x="%.1f" y="%d" text-anchor="middle" fill="%s">%s</text>`, x, bottom+18, colourFaint, fraction(share))
	}
	draw(`<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="1.5"/>`, axis(1), chartTop-10, axis(1), bottom, colourInk)
	draw(`<text x="%.1f" y="%d" text-anchor="middle" fill="%s">target</text>`, axis(1), chartTop-16, colourInk)
	draw(`<text x="%d" y="%d" text-anchor="end" fill="%s">better →</text>`, chartRight, chartTop-16, colourFaint)
	for i, row := range rows {
		row.draw(draw, float64(chartTop+rowHeight*i)+rowHeight/2)
	}
	draw(`</svg>`)
	return b.String()
}

// draw draws a row at a height.
func (r *Row) draw(draw func(string, ...any), y float64) {
	draw(`<text x="16" y="%.1f" fill="%s"><tspan font-weight="600">%s</tspan> %s</text>`, y+4, colourInk, escape(r.ID), escape(clip(r.Name, 82)))
	if r.Ratio == nil {
		draw(`<text x="%.1f" y="%.1f" fill="%s">error</text>`, axis(1)+6, y+4, colourMissed)
		return
	}
	colour := colourMissed
	if *r.Met {
		colour = colourMet
	}
	from, to, at := axis(r.share(r.Ratio.Min)), axis(r.share(r.Ratio.Max)), axis(r.share(r.Ratio.Median))
	draw(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="3" stroke-opacity="0.35" stroke-linecap="round"/>`, from, y, to, y, colour)
	draw(`<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`, at, y, colour)
	draw(`<text x="%d" y="%.1f" fill="%s"><tspan font-weight="600">%s</tspan> <tspan fill="%s">%s</tspan></text>`, chartRight+12, y+4, colour, figure(r.Ratio.Median), colourFaint, escape(r.Target.short()))
}

// share is a ratio in units of its target, turned around where less is better.
func (r *Row) share(ratio float64) float64 {
	if r.Target.AtMost > 0 {
		return r.Target.AtMost / math.Max(ratio, 1e-9)
	}
	return ratio / r.Target.AtLeast
}

// short is the target in signs.
func (t *Target) short() string {
	if t.AtMost > 0 {
		return fmt.Sprintf("≤ %.4g", t.AtMost)
	}
	return fmt.Sprintf("≥ %.4g", t.AtLeast)
}

// axis is where a share stands; what is beyond the ends stands at them.
func axis(share float64) float64 {
	share = math.Min(math.Max(share, lowest), highest)
	return chartLeft + (chartRight-chartLeft)*math.Log(share/lowest)/math.Log(highest/lowest)
}

func fraction(share float64) string {
	if share < 1 {
		return fmt.Sprintf("1/%.0f", 1/share)
	}
	return fmt.Sprintf("%.0f×", share)
}

func clip(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func escape(text string) string {
	var b strings.Builder
	// A strings.Builder takes everything.
	_ = xml.EscapeText(&b, []byte(text))
	return b.String()
}
