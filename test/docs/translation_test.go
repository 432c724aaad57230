package docs

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extensionast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// chinese is the folder of the Chinese pages. Each has the name of its English
// page.
const chinese = "docs/zh-CN"

// translated are the English pages that have a Chinese version, by their paths
// from the top.
var translated = []string{
	"README.md",
	"docs/concepts.md",
	"docs/install.md",
	"docs/platforms.md",
	"docs/templates.md",
	"docs/template-functions.md",
	"docs/template-checks.md",
	"docs/status.md",
}

// translationOf returns the path of the Chinese version of an English page.
func translationOf(page string) string {
	return filepath.Join(chinese, filepath.Base(page))
}

// TestTheChinesePagesFollowTheEnglishOnes compares structure only: headings, code,
// tables, pictures and links. The text between them is translated by meaning.
func TestTheChinesePagesFollowTheEnglishOnes(t *testing.T) {
	documents := map[string]document{}
	for _, page := range translated {
		link := fmt.Sprintf("English | [简体中文](%s)", relative(t, filepath.Dir(page), translationOf(page)))
		documents[page] = read(t, page, link)
		link = fmt.Sprintf("[English](%s) | 简体中文", relative(t, chinese, page))
		documents[translationOf(page)] = read(t, translationOf(page), link)
	}
	for _, page := range translated {
		translation := translationOf(page)
		for _, difference := range differences(documents[page], documents[translation], func(link string) string {
			return translateLink(t, documents, page, link)
		}) {
			t.Errorf("%s has to follow %s: %s", translation, page, difference)
		}
	}
}

func TestEveryChinesePageIsComparedWithItsEnglishPage(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, chinese, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.ContainsFunc(translated, func(page string) bool { return filepath.Base(page) == filepath.Base(file) }) {
			t.Errorf("%s/%s is not compared with its English page: add that to the list \"translated\" of this test", chinese, filepath.Base(file))
		}
	}
}

// brokenLine is a line break that is shown as a space between two Chinese
// characters, where no space belongs.
var brokenLine = regexp.MustCompile(`[\p{Han}，、（]\n *[\p{Han}（）]`)

func TestNoLineOfAChinesePageEndsWithinASentenceBeforeAChineseCharacter(t *testing.T) {
	for path, page := range pages(t) {
		if filepath.Dir(path) != filepath.Join(root, chinese) {
			continue
		}
		for _, broken := range brokenLine.FindAllString(fenced.ReplaceAllString(page, ""), -1) {
			t.Errorf("%s: the line break in %q is shown as a space: break the line after 。 or ；, or at a space", path, broken)
		}
	}
}

// read parses a page, of which the line under its title has to be the link to the
// other language.
func read(t *testing.T, page, languages string) document {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatalf("%s: %v: each English page in the list \"translated\" of this test has a Chinese one in %s", page, err, chinese)
	}
	lines := strings.SplitN(string(content), "\n", 4)
	if len(lines) < 4 || lines[2] != languages {
		t.Fatalf("%s: line 3, under the title, must link to the other language: %s", page, languages)
	}
	return parse(lines[0] + "\n\n\n" + lines[3])
}

func relative(t *testing.T, folder, path string) string {
	t.Helper()
	rel, err := filepath.Rel(folder, path)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}

// translateLink returns what a link or picture of an English page is in the
// Chinese version: a page that is translated becomes its translation, and the
// anchor of a heading becomes that of the heading in the same place there.
func translateLink(t *testing.T, documents map[string]document, page, link string) string {
	t.Helper()
	if strings.Contains(link, "://") {
		return link
	}
	target, anchor, anchored := strings.Cut(link, "#")
	file := page
	if target != "" {
		file = filepath.Join(filepath.Dir(page), target)
	}
	if slices.Contains(translated, file) {
		place := slices.IndexFunc(documents[file], func(s section) bool { return s.anchor() == anchor })
		file = translationOf(file)
		if anchored && place >= 0 && place < len(documents[file]) {
			anchor = documents[file][place].anchor()
		}
	}
	if target != "" {
		target = relative(t, chinese, file)
	}
	if anchored {
		target += "#" + anchor
	}
	return target
}

// document is what is compared of a page: its sections, each with what is between
// its heading and the next one. The first is what is above all headings.
type document []section

type section struct {
	heading string // as in the source, with the signs of its level
	blocks  []string
	tables  []string // rows and columns of each
	code    []string
	links   []string // with pictures, which begin with a !
}

func (s section) level() string {
	level, _, _ := strings.Cut(s.heading, " ")
	return level
}

func (s section) anchor() string {
	return anchorOf(strings.TrimLeft(s.heading, "# "))
}

func parse(content string) document {
	source := []byte(content)
	parser := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser()
	found := document{{}}
	_ = ast.Walk(parser.Parse(text.NewReader(source)), func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if heading, ok := node.(*ast.Heading); ok {
			found = append(found, section{heading: strings.Repeat("#", heading.Level) + " " + string(heading.Lines().Value(source))})
		}
		found[len(found)-1].add(node, source)
		return ast.WalkContinue, nil
	})
	return found
}

func (s *section) add(node ast.Node, source []byte) {
	switch node := node.(type) {
	case *ast.FencedCodeBlock:
		info := ""
		if node.Info != nil {
			info = string(node.Info.Value(source))
		}
		s.blocks = append(s.blocks, info+"\n"+string(node.Lines().Value(source)))
	case *ast.CodeBlock:
		s.blocks = append(s.blocks, "\n"+string(node.Lines().Value(source)))
	case *extensionast.Table:
		s.tables = append(s.tables, fmt.Sprintf("%d rows of %d columns", node.ChildCount(), len(node.Alignments)))
	case *ast.CodeSpan:
		var code strings.Builder
		for child := node.FirstChild(); child != nil; child = child.NextSibling() {
			code.Write(child.(*ast.Text).Segment.Value(source))
		}
		s.code = append(s.code, strings.Join(strings.Fields(code.String()), " "))
	case *ast.Link:
		s.links = append(s.links, string(node.Destination))
	case *ast.AutoLink:
		s.links = append(s.links, string(node.URL(source)))
	case *ast.Image:
		s.links = append(s.links, "!"+string(node.Destination))
	}
}

// differences says what a translation lacks and what it has too much, for whoever
// has changed one of the two pages.
func differences(english, translation document, translateLink func(string) string) []string {
	var found []string
	for i := range max(len(english), len(translation)) {
		switch {
		case i >= len(translation):
			return append(found, fmt.Sprintf("there is no heading for %q", english[i].heading))
		case i >= len(english):
			return append(found, fmt.Sprintf("there is the heading %q, which has no counterpart", translation[i].heading))
		case english[i].level() != translation[i].level():
			return append(found, fmt.Sprintf("where it has %q, there is %q: the headings must have the same order and levels", english[i].heading, translation[i].heading))
		case slices.ContainsFunc(translation[:i], func(s section) bool { return s.anchor() == translation[i].anchor() }):
			found = append(found, fmt.Sprintf("there are two headings %q, so that no link can lead to the second", translation[i].heading))
		}
		var links []string
		for _, link := range english[i].links {
			picture := strings.HasPrefix(link, "!")
			if link = translateLink(strings.TrimPrefix(link, "!")); picture {
				link = "!" + link
			}
			links = append(links, link)
		}
		place := fmt.Sprintf("in the section %q (%q)", translation[i].heading, english[i].heading)
		if i == 0 {
			place = "above the title"
		}
		found = append(found, inOrder(place, "code block", english[i].blocks, translation[i].blocks)...)
		found = append(found, inOrder(place, "table", english[i].tables, translation[i].tables)...)
		found = append(found, asSets(place, "code", english[i].code, translation[i].code)...)
		found = append(found, asSets(place, "link", links, translation[i].links)...)
	}
	return found
}

// inOrder compares what has to be the same, one after the other.
func inOrder(place, what string, english, translation []string) []string {
	if len(english) != len(translation) {
		return []string{fmt.Sprintf("%s it has %d %ss, not %d", place, len(translation), what, len(english))}
	}
	var found []string
	for i := range english {
		if english[i] != translation[i] {
			found = append(found, fmt.Sprintf("%s %s %d must be\n%s\nand is\n%s", place, what, i+1, english[i], translation[i]))
		}
	}
	return found
}

// asSets compares what may be mentioned in any order, and more than once.
func asSets(place, what string, english, translation []string) []string {
	var found []string
	for _, value := range missing(translation, english) {
		found = append(found, fmt.Sprintf("%s the %s %s is missing", place, what, value))
	}
	for _, value := range missing(english, translation) {
		found = append(found, fmt.Sprintf("%s the %s %s has no counterpart", place, what, value))
	}
	return found
}

// missing returns the values that are not in the first list, sorted.
func missing(from, values []string) []string {
	absent := map[string]bool{}
	for _, value := range values {
		if !slices.Contains(from, value) {
			absent[value] = true
		}
	}
	return slices.Sorted(maps.Keys(absent))
}

func TestAPageThatDoesNotFollowItsEnglishPageIsFound(t *testing.T) {
	const english = "# Page\n\nRead `a` and [b](b.md#c).\n\n![p](images/p.svg)\n\n" +
		"## Code\n\n```sh\nrun # it\n```\n\n## Table\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
	translateLink := func(link string) string { return "../" + link }
	const translation = "# 页\n\n[b](../b.md#c) 和 `a`，`a`\n\n![图](../images/p.svg)\n\n" +
		"## 代码\n\n```sh\nrun # it\n```\n\n## 表\n\n| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n"
	for name, test := range map[string]struct{ from, to, want string }{
		"the same":          {"", "", ""},
		"a section less":    {"## 表\n\n| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n", "", `there is no heading for "## Table"`},
		"a section more":    {"| 1 | 2 |\n", "| 1 | 2 |\n\n## 多\n", `there is the heading "## 多", which has no counterpart`},
		"another level":     {"## 代码", "### 代码", `where it has "## Code", there is "### 代码"`},
		"a heading twice":   {"## 表", "## 代码", `there are two headings "## 代码"`},
		"code inside":       {"和 `a`，`a`", "和 `x`", `in the section "# 页" ("# Page") the code a is missing; in the section "# 页" ("# Page") the code x has no counterpart`},
		"a link":            {"../b.md#c", "../b.md", `the link ../b.md#c is missing`},
		"a picture":         {"![图](../images/p.svg)", "[图](../images/p.svg)", `the link !../images/p.svg is missing`},
		"a code block":      {"run # it", "run # 它", "code block 1 must be\nsh\nrun # it\n\nand is\nsh\nrun # 它\n"},
		"a language":        {"```sh", "```", "code block 1 must be\nsh\nrun # it\n\nand is\n\nrun # it\n"},
		"a code block less": {"```sh\nrun # it\n```\n", "", "it has 0 code blocks, not 1"},
		"a row":             {"| 1 | 2 |\n", "| 1 | 2 |\n| 3 | 4 |\n", "table 1 must be\n2 rows of 2 columns\nand is\n3 rows of 2 columns"},
		"a column":          {"| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n", "| 甲 |\n|---|\n| 1 |\n", "2 rows of 1 columns"},
	} {
		if !strings.Contains(translation, test.from) {
			t.Fatalf("%s: the page has no %q", name, test.from)
		}
		changed := strings.Replace(translation, test.from, test.to, 1)
		got := strings.Join(differences(parse(english), parse(changed), translateLink), "; ")
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s:\n got: %s\nwant: %s", name, got, test.want)
		}
	}
}
