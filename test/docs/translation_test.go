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

// TestTheChinesePagesFollowTheEnglishOnes compares the structure of the pages:
// headings, paragraphs, lists, tables, code, pictures and links. The sentences are
// translated by meaning and not compared.
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
			t.Errorf("%s differs from %s: %s", translation, page, difference)
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
			t.Errorf("%s/%s is not compared with its English page: add the English page to the list \"translated\" of this test", chinese, filepath.Base(file))
		}
	}
}

// brokenLine is a line break between two Chinese characters. Browsers show it as a
// space.
var brokenLine = regexp.MustCompile(`[\p{Han}，、（]\n *[\p{Han}（）]`)

func TestNoLineOfAChinesePageEndsWithinASentenceBeforeAChineseCharacter(t *testing.T) {
	for path, page := range pages(t) {
		if filepath.Dir(path) != filepath.Join(root, chinese) {
			continue
		}
		for _, broken := range brokenLine.FindAllString(fenced.ReplaceAllString(page, ""), -1) {
			t.Errorf("%s: the line break in %q is shown as a space: break the line after 。, ； or ：, or at a space", path, broken)
		}
	}
}

// read parses a page. The line below its title has to link to the other language.
func read(t *testing.T, page, languages string) document {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatalf("%s: %v: each page in the list \"translated\" of this test needs a Chinese version in %s", page, err, chinese)
	}
	lines := strings.SplitN(string(content), "\n", 4)
	if len(lines) < 4 || lines[2] != languages {
		t.Fatalf("%s: line 3, below the title, must link to the other language: %s", page, languages)
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

// translateLink returns the link in the Chinese version that corresponds to a link,
// or picture, in an English page. A link to a page that is translated leads to the
// translation, and its anchor is that of the heading at the same position.
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

// document is the structure of a page: a section for each heading, with the content
// up to the next heading. The first section is the content before all headings.
type document []section

type section struct {
	heading    string   // as in the source, with the # of its level
	blocks     []string // paragraphs, lists, tables and code blocks, in their order
	codeBlocks []string
	codeSpans  []string
	links      []string // and pictures, which begin with !
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
	case *ast.Paragraph:
		s.blocks = append(s.blocks, "a paragraph")
	case *ast.List:
		s.blocks = append(s.blocks, fmt.Sprintf("a list of %d items", node.ChildCount()))
	case *extensionast.Table:
		s.blocks = append(s.blocks, fmt.Sprintf("a table of %d rows and %d columns", node.ChildCount(), len(node.Alignments)))
	case *ast.FencedCodeBlock:
		info := ""
		if node.Info != nil {
			info = string(node.Info.Value(source))
		}
		s.addCodeBlock(info + "\n" + string(node.Lines().Value(source)))
	case *ast.CodeBlock:
		s.addCodeBlock("\n" + string(node.Lines().Value(source)))
	case *ast.CodeSpan:
		var code strings.Builder
		for child := node.FirstChild(); child != nil; child = child.NextSibling() {
			code.Write(child.(*ast.Text).Segment.Value(source))
		}
		s.codeSpans = append(s.codeSpans, strings.Join(strings.Fields(code.String()), " "))
	case *ast.Link:
		s.links = append(s.links, string(node.Destination))
	case *ast.AutoLink:
		s.links = append(s.links, string(node.URL(source)))
	case *ast.Image:
		s.links = append(s.links, "!"+string(node.Destination))
	}
}

func (s *section) addCodeBlock(code string) {
	s.blocks = append(s.blocks, "a code block")
	s.codeBlocks = append(s.codeBlocks, code)
}

// differences lists what is missing in a translation, and what has no counterpart
// in the English page.
func differences(english, translation document, translateLink func(string) string) []string {
	var found []string
	for i := range max(len(english), len(translation)) {
		switch {
		case i >= len(translation):
			return append(found, fmt.Sprintf("the heading for %q is missing", english[i].heading))
		case i >= len(english):
			return append(found, fmt.Sprintf("the heading %q has no counterpart", translation[i].heading))
		case english[i].level() != translation[i].level():
			return append(found, fmt.Sprintf("the heading %q is at the place of %q: both pages need the same headings in the same order", translation[i].heading, english[i].heading))
		case slices.ContainsFunc(translation[:i], func(s section) bool { return s.anchor() == translation[i].anchor() }):
			found = append(found, fmt.Sprintf("two headings are %q: make them different, so that each has an anchor", translation[i].heading))
		}
		for _, difference := range compare(english[i], translation[i], translateLink) {
			found = append(found, fmt.Sprintf("section %q (%q): %s", translation[i].heading, english[i].heading, difference))
		}
	}
	return found
}

func compare(english, translation section, translateLink func(string) string) []string {
	var found []string
	if i := mismatch(english.blocks, translation.blocks); i >= 0 {
		found = append(found, fmt.Sprintf("block %d is %s where the English page has %s", i+1, blockAt(translation.blocks, i, "missing"), blockAt(english.blocks, i, "nothing")))
	} else if i := mismatch(english.codeBlocks, translation.codeBlocks); i >= 0 {
		found = append(found, fmt.Sprintf("code block %d must be\n%s\nand is\n%s", i+1, english.codeBlocks[i], translation.codeBlocks[i]))
	}
	var links []string
	for _, link := range english.links {
		destination, picture := strings.CutPrefix(link, "!")
		if link = translateLink(destination); picture {
			link = "!" + link
		}
		links = append(links, link)
	}
	found = append(found, sets("code", english.codeSpans, translation.codeSpans)...)
	return append(found, sets("link", links, translation.links)...)
}

// mismatch returns the first index at which the lists differ, or -1.
func mismatch(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return i
		}
	}
	return -1
}

func blockAt(blocks []string, i int, otherwise string) string {
	if i < len(blocks) {
		return blocks[i]
	}
	return otherwise
}

// sets compares what a translation may mention in another order, or more often.
func sets(what string, english, translation []string) []string {
	var found []string
	for _, value := range missing(translation, english) {
		found = append(found, fmt.Sprintf("the %s %s is missing", what, value))
	}
	for _, value := range missing(english, translation) {
		found = append(found, fmt.Sprintf("the %s %s has no counterpart", what, value))
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
		"## Code\n\n```sh\nrun # it\n```\n\n## Table\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- one\n- two\n"
	const translation = "# 页\n\n[b](../b.md#c) 和 `a`，`a`\n\n![图](../images/p.svg)\n\n" +
		"## 代码\n\n```sh\nrun # it\n```\n\n## 表\n\n| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n\n- 一\n- 二\n"
	translateLink := func(link string) string { return "../" + link }
	if found := differences(parse(english), parse(translation), translateLink); found != nil {
		t.Errorf("a translation that follows its English page: %q", found)
	}
	for name, test := range map[string]struct{ from, to, want string }{
		"a heading less":    {"## 代码\n", "", `the heading for "## Table" is missing`},
		"a heading more":    {"- 二\n", "- 二\n\n## 多\n", `the heading "## 多" has no counterpart`},
		"another level":     {"## 代码", "### 代码", `the heading "### 代码" is at the place of "## Code"`},
		"a heading twice":   {"## 表", "## 代码", `two headings are "## 代码"`},
		"a code span less":  {"`a`，`a`", "甲", `section "# 页" ("# Page"): the code a is missing`},
		"a code span more":  {"`a`，`a`", "`a`，`x`", `section "# 页" ("# Page"): the code x has no counterpart`},
		"another link":      {"../b.md#c", "../b.md", `section "# 页" ("# Page"): the link ../b.md#c is missing`},
		"a picture as link": {"![图]", "[图]", `section "# 页" ("# Page"): the link !../images/p.svg is missing`},
		"a paragraph more":  {"![图]", "还\n\n![图]", `section "# 页" ("# Page"): block 3 is a paragraph where the English page has nothing`},
		"another command":   {"run # it", "run # 它", "code block 1 must be\nsh\nrun # it\n\nand is\nsh\nrun # 它\n"},
		"another language":  {"```sh", "```", "code block 1 must be\nsh\nrun # it\n\nand is\n\nrun # it\n"},
		"a code block less": {"```sh\nrun # it\n```\n", "", `section "## 代码" ("## Code"): block 1 is missing where the English page has a code block`},
		"a row more":        {"| 1 | 2 |", "| 1 | 2 |\n| 3 | 4 |", "is a table of 3 rows and 2 columns where the English page has a table of 2 rows and 2 columns"},
		"a column less":     {"| 甲 | 乙 |\n|---|---|\n| 1 | 2 |", "| 甲 |\n|---|\n| 1 |", "is a table of 2 rows and 1 columns where the English page has a table of 2 rows and 2 columns"},
		"an item less":      {"- 二\n", "", "block 2 is a list of 1 items where the English page has a list of 2 items"},
	} {
		if !strings.Contains(translation, test.from) {
			t.Fatalf("%s: the translation has no %q", name, test.from)
		}
		changed := strings.Replace(translation, test.from, test.to, 1)
		got := strings.Join(differences(parse(english), parse(changed), translateLink), "; ")
		if !strings.Contains(got, test.want) {
			t.Errorf("%s:\n got: %s\nwant: %s", name, got, test.want)
		}
	}
}
