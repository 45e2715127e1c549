package archtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Room is a kind of packages of this module and the packages of this module that they may import. Paths are relative to
// the module; "*" stands for one element of a path, and a trailing "/..." for the path and everything below it. A
// package belongs to the first room of the table with a matching path, and may always import the packages below itself
// that belong to the same room.
type Room struct {
	Name  string
	Paths []string
	May   []string
}

// Ban is what must not come along with packages of this module, neither directly nor through others.
type Ban struct {
	Paths []string
	// Never are import paths: full ones, or "./…" for one of this module.
	Never []string
}

// Budget bounds the packages from outside of the standard library and this module that come along with a package.
type Budget struct {
	Path string
	Most int
}

// Rules is a set of rules.
type Rules struct {
	Rooms   []Room
	Bans    []Ban
	Budgets []Budget
}

// Check returns a sentence for each violation.
func (r Rules) Check(g Graph) []string {
	var found []string
	for _, p := range g.own() {
		found = append(found, r.rooms(g, p)...)
		found = append(found, r.bans(g, p)...)
		found = append(found, testingOutsideTests(g, p)...)
	}
	return append(found, r.budgets(g)...)
}

func (r Rules) rooms(g Graph, p string) []string {
	i := r.room(p)
	if i < 0 {
		return []string{fmt.Sprintf("%s belongs to no room: add it to the table of rooms", p)}
	}
	var found []string
	for _, imported := range g[absolute(p)].Imports {
		target, ours := within(imported)
		part := strings.HasPrefix(target, p+"/") && r.room(target) == i
		if !ours || part || matchAny(r.Rooms[i].May, target) {
			continue
		}
		found = append(found, fmt.Sprintf("%s imports %s: %s may import of this module %s", p, target, r.Rooms[i].Name, allowed(r.Rooms[i].May)))
	}
	return found
}

// room returns the index of the room of a package, or -1.
func (r Rules) room(p string) int {
	return slices.IndexFunc(r.Rooms, func(room Room) bool { return matchAny(room.Paths, p) })
}

func (r Rules) bans(g Graph, p string) []string {
	var found []string
	for _, ban := range r.Bans {
		if !matchAny(ban.Paths, p) {
			continue
		}
		came := g.reach(absolute(p))
		for _, reached := range slices.Sorted(maps.Keys(came)) {
			if reached != absolute(p) && matchAny(ban.Never, banned(reached)) {
				found = append(found, fmt.Sprintf("%s must not depend on %s: %s", p, short(reached), chain(came, reached)))
			}
		}
	}
	return found
}

func (r Rules) budgets(g Graph) []string {
	var found []string
	for _, b := range r.Budgets {
		var foreign []string
		for reached := range g.reach(absolute(b.Path)) {
			_, ours := within(reached)
			if p := g[reached]; !ours && p != nil && !p.Standard {
				foreign = append(foreign, reached)
			}
		}
		if len(foreign) > b.Most {
			slices.Sort(foreign)
			found = append(found, fmt.Sprintf("%s brings %d packages of other modules, and may bring %d: %s", b.Path, len(foreign), b.Most, strings.Join(foreign, ", ")))
		}
	}
	return found
}

// testingOutsideTests keeps package testing, and the flags that it registers, out of programs.
func testingOutsideTests(g Graph, p string) []string {
	pkg := g[absolute(p)]
	if strings.HasSuffix(pkg.Name, "test") || !slices.Contains(pkg.Imports, "testing") {
		return nil
	}
	return []string{fmt.Sprintf("%s imports testing: only a package whose name ends in test may", p)}
}

func matchAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, p) })
}

func match(pattern, p string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		elements := strings.Count(tree, "/") + 1
		parts := strings.SplitN(p, "/", elements+1)
		if len(parts) < elements {
			return false
		}
		pattern, p = tree, strings.Join(parts[:elements], "/")
	}
	ok, err := path.Match(pattern, p)
	return ok && err == nil
}

func absolute(p string) string {
	if p == "." {
		return Module
	}
	return Module + "/" + p
}

// banned writes an import path as [Ban].Never does.
func banned(importPath string) string {
	if p, ours := within(importPath); ours {
		return "./" + p
	}
	return importPath
}

func allowed(may []string) string {
	if len(may) == 0 {
		return "nothing"
	}
	return "only " + strings.Join(may, ", ")
}
