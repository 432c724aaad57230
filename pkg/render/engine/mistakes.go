package engine

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// What people bring along from other template languages is not just refused:
// the error says what to write instead. This file has the mistakes that parse,
// repair.go those that do not.

// known reports whether a function can be called, and records why if it cannot.
func (c *compiler) known(ident *parse.IdentifierNode) bool {
	name := ident.Ident
	if functions[name] != nil {
		return true
	}
	advice, isRemoved := removed[name]
	remedy, isForeign := foreignNames[name]
	switch {
	case isRemoved:
		c.fail(ident, "the function %s cannot be used in a template: %s", name, advice)
	case isForeign:
		c.fail(ident, "there is no function %q; %s", name, remedy)
	case slices.Contains(c.template.declared, name):
		c.fail(ident, "there is no function %q; the object of that reference is .references.%s", name, name)
	default:
		c.fail(ident, "there is no function %q%s", shorten(name), suggestion(name))
	}
	return false
}

const (
	fieldsBegin = "the fields of an object begin with a dot: "
	aSourceIs   = "the Source is .source"
)

// foreignNames are what other languages call functions, variables or operators,
// with what to write instead.
var foreignNames = map[string]string{
	"source":     fieldsBegin + "write .source",
	"references": fieldsBegin + "write .references",
	"metadata":   fieldsBegin + "write .source.metadata",
	"spec":       fieldsBegin + "write .source.spec",
	"status":     fieldsBegin + "write .source.status",
	"object":     aSourceIs,
	"oldObject":  aSourceIs,
	"self":       aSourceIs,
	"this":       aSourceIs,
	"in":         "write has X LIST, or hasKey MAP KEY",
	"is":         "write eq X Y, or not X",
	"null":       `an absent value is false and equals "": write not X`,
	"none":       `an absent value is false and equals "": write not X`,
	"None":       `an absent value is false and equals "": write not X`,
	"undefined":  `an absent value is false and equals "": write not X`,
	"True":       "write true",
	"False":      "write false",
	"elif":       "write {{ else if CONDITION }}",
	"elsif":      "write {{ else if CONDITION }}",
	"elseif":     "write {{ else if CONDITION }}",
	"endif":      "every block ends with {{ end }}",
	"endfor":     "every block ends with {{ end }}",
	"endrange":   "every block ends with {{ end }}",
	"endwith":    "every block ends with {{ end }}",
	"unless":     "write {{ if not CONDITION }}",
	"for":        "write {{ range LIST }}",
	"foreach":    "write {{ range LIST }}",
	"let":        "write {{ $x := VALUE }}",
	"var":        "write {{ $x := VALUE }}",
	"size":       "write len X",
	"length":     "write len X",
	"count":      "write len X",
	"startsWith": "write hasPrefix PREFIX TEXT",
	"endsWith":   "write hasSuffix SUFFIX TEXT",
	"matches":    "write regexMatch PATTERN TEXT",
	"exists":     "write {{ range LIST }}{{ if CONDITION }}true{{ end }}{{ end }}",
	"exists_one": "write {{ range LIST }}{{ if CONDITION }}true{{ end }}{{ end }}",
	"string":     "write toString X",
	"str":        "write toString X",
	"bool":       "write eq X \"true\"",
	"double":     "write float64 X",
	"uint":       "write int64 X",
	"b64decode":  "write b64dec TEXT",
	"b64encode":  "write b64enc TEXT",
	"toyaml":     "write toYaml X",
	"tojson":     "write toJson X",
	"parseJson":  "write fromJson TEXT",
	"parseYaml":  "write fromYaml TEXT",
	"fromYAML":   "write fromYaml TEXT",
	"fromJSON":   "write fromJson TEXT",
}

// foreignRoots are what stands at the root in templates of other tools, in lower
// case.
var foreignRoots = map[string]string{
	"values":       "; the values of a Helm chart do not exist here: write the value itself, or a field of .source",
	"release":      "; the release of a Helm chart does not exist here: a policy has no release",
	"chart":        "; the chart of Helm does not exist here",
	"capabilities": "; the capabilities of Helm do not exist here: the versions of a type are chosen by the field versions",
	"files":        "; the files of a Helm chart do not exist here",
	"object":       "; " + aSourceIs,
	"obj":          "; " + aSourceIs,
	"self":         "; " + aSourceIs,
	"cluster":      "; " + aSourceIs,
	"secret":       "; a Secret is a reference: declare it in spec.references and write .references.KEY.data",
	"secrets":      "; a Secret is a reference: declare it in spec.references and write .references.KEY.data",
}

// objectFields are the fields that nearly all objects have.
var objectFields = []string{"apiVersion", "kind", "metadata", "spec", "status", "data"}

// insteadOf is what to write instead of a path that begins with something that
// the root does not have.
func (c *compiler) insteadOf(names []string) string {
	name, rest := names[0], names[1:]
	lower := strings.ToLower(name)
	instead := ""
	switch {
	case lower == "source" || lower == "sources":
		instead = join(".source", rest)
	case c.template.declared != nil && slices.Contains([]string{"reference", "references", "refs", "ref"}, lower):
		instead = join(".references", rest)
	case slices.Contains(c.template.declared, name):
		instead = join(".references."+name, rest)
	case slices.ContainsFunc(objectFields, func(field string) bool { return strings.EqualFold(field, name) }):
		for _, field := range objectFields {
			if strings.EqualFold(field, name) {
				instead = join(".source."+field, rest)
			}
		}
	default:
		return foreignRoots[lower]
	}
	return "; write " + shorten(instead)
}

// foreignMethods are methods of other languages, and the functions here. X is
// the value before the dot, and A the arguments.
var foreignMethods = map[string]string{
	"startsWith": "hasPrefix A X", "startswith": "hasPrefix A X", "hasPrefix": "hasPrefix A X", "endsWith": "hasSuffix A X", "endswith": "hasSuffix A X",
	"contains": "contains A X", "includes": "contains A X", "matches": "regexMatch A X", "match": "regexMatch A X",
	"replace": "replace A X", "split": "splitList A X", "join": "join A X", "get": "get X A", "has": "hasKey X A", "hasKey": "hasKey X A",
	"size": "len X", "length": "len X", "trim": "trim X", "lowerAscii": "lower X", "toLowerCase": "lower X", "lower": "lower X",
	"upperAscii": "upper X", "toUpperCase": "upper X", "upper": "upper X", "toString": "toString X",
	"exists": "{{ range X }}{{ if CONDITION }}true{{ end }}{{ end }}", "exists_one": "{{ range X }}{{ if CONDITION }}true{{ end }}{{ end }}",
	"all": "{{ range X }}", "any": "{{ range X }}", "filter": "{{ range X }}{{ if CONDITION }}", "map": "{{ range X }}", "find": "{{ range X }}{{ if CONDITION }}",
	"orValue": "default A X",
}

// functionsFirst is what to write instead of first, which is followed by args as
// only a function can be.
func functionsFirst(first parse.Node, args []parse.Node) string {
	written := first.String()
	if len(args) > 0 {
		if ident, ok := args[0].(*parse.IdentifierNode); ok {
			switch {
			case functions[ident.Ident] != nil:
				return fmt.Sprintf("; functions precede their arguments: write %s", shorten(callOf(ident.Ident, written, args[1:])))
			case foreignNames[ident.Ident] != "":
				return "; " + foreignNames[ident.Ident]
			}
		}
	}
	return ""
}

// insteadOfMethod is what to write instead of a method of a value.
func insteadOfMethod(value, method, arguments string) string {
	instead, ok := foreignMethods[method]
	if !ok {
		return "write FUNCTION ARGUMENTS VALUE instead of VALUE.FUNCTION(ARGUMENTS)"
	}
	return "write " + shorten(strings.NewReplacer("A", arguments, "X", value).Replace(instead))
}

// callOf is how a function is called whose name stood between its arguments.
func callOf(name, first string, args []parse.Node) string {
	out := name + " " + first
	for _, arg := range args {
		out += " " + arg.String()
	}
	return out
}

// isForeign reports whether a command stands in an action that was repaired.
func (c *compiler) isForeign(command *parse.CommandNode) bool {
	return slices.ContainsFunc(c.foreign, func(s span) bool { return s.holds(int(command.Position())) })
}

// operandsOnly checks the parts of a command, and not what they are together.
func (c *compiler) operandsOnly(command *parse.CommandNode) expression {
	for _, arg := range command.Args {
		if ident, ok := arg.(*parse.IdentifierNode); ok {
			c.known(ident)
			continue
		}
		c.operand(arg)
	}
	return broken{}
}

// parserMessages are what package parse says, and what is said instead: none of
// its words is of use to somebody who does not know the package. #1 and #2 are the
// groups of the pattern.
var parserMessages = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`^unexpected \{\{end\}\}`), "this {{end}} ends no block: no {{if}}, {{with}}, {{range}} or {{define}} is open here; remove it"},
	{regexp.MustCompile(`^unexpected \{\{else\}\}`), "this {{else}} belongs to no block: no {{if}}, {{with}} or {{range}} is open here; remove it"},
	{regexp.MustCompile(`^expected end; found`), "there is an {{else}} before this one; write {{else if CONDITION}} there, or {{end}} here"},
	{regexp.MustCompile(`^missing value for command`), "the action is empty; write what it is to print, or remove it"},
	{regexp.MustCompile(`^missing value for (if|with|range)$`), "{{#1}} needs a value; write what it is about, as in {{#1 .source.spec.FIELD}}"},
	{regexp.MustCompile(`^missing value for parenthesized pipeline`), "the parentheses are empty; write what they hold, or remove them"},
	{regexp.MustCompile(`^missing value for`), "a value is missing; write it, or remove the action"},
	{regexp.MustCompile(`^empty command`), "a value is missing beside |; write it, or remove the |"},
	{regexp.MustCompile(`^undefined variable "(.*)"`), "the variable #1 is not declared; write {{ #1 := VALUE }} before it"},
	{regexp.MustCompile(`^non executable command in pipeline stage`), "what follows | must be a function, which gets the value before | as its last argument: write VALUE | FUNCTION"},
	{regexp.MustCompile(`^too many declarations in range`), "range has at most two variables: write {{ range $key, $value := MAP }}"},
	{regexp.MustCompile(`^too many declarations in`), "only range has two variables; declare one in each action: {{ $x := VALUE }}"},
	{regexp.MustCompile(`^range can only initialize variables`), "the comma is followed by a second variable: write {{ range $key, $value := MAP }}"},
	{regexp.MustCompile(`^unexpected \. after term "(.*)"`), "#1 has no fields; a path has one dot before each name, as in .source.spec.FIELD"},
	{regexp.MustCompile(`^invalid syntax`), "the string has a backslash that means nothing; write \\\\ for a backslash, or put the string in backquotes"},
	{regexp.MustCompile(`^(?:malformed|unterminated) character constant`), "this is no string; strings are written in double quotes"},
	{regexp.MustCompile(`^integer overflow`), "the number is too large for a whole number"},
	{regexp.MustCompile(`^unexpected "\|" in `), "a value is missing before |; write it, or remove the |"},
	{regexp.MustCompile(`^unexpected "\(" in operand`), "a space is needed before ("},
	{regexp.MustCompile(`^(?:bad number syntax|illegal number syntax|strconv)`), "this is no number; strings are written in double quotes, and add X Y instead of X + Y"},
	{regexp.MustCompile(`^unterminated quoted string`), `the string that begins here does not end in its line; write " where it ends`},
	{regexp.MustCompile(`^unterminated raw quoted string`), "the string that begins here does not end; write ` where it ends"},
	{regexp.MustCompile(`^(?:unclosed comment|comment ends before)`), "a comment is an action of its own: write {{/* COMMENT */}}, with nothing else between the braces"},
	{regexp.MustCompile(`^unclosed left paren`), "a ) is missing before the action ends"},
	{regexp.MustCompile(`^unexpected right paren`), "this ) ends nothing; remove it, or write ( before what it is to end"},
	{regexp.MustCompile(`^unclosed action`), "the action that begins here does not end; write }} where it ends"},
	{regexp.MustCompile(`^\{\{(break|continue)\}\} outside`), "{{#1}} is outside of any {{range}}; remove it"},
	{regexp.MustCompile(`^multiple definition of template "(.*)"`), "the template \"#1\" is defined twice; give one of them another name"},
	{regexp.MustCompile(` in define clause$`), `{{define}} needs a name: write {{ define "NAME" }}`},
	{regexp.MustCompile(` in template clause$`), `{{template}} needs a name, and takes one value: write {{ template "NAME" . }}`},
	{regexp.MustCompile(` in block clause$`), `{{block}} needs a name and a value: write {{ block "NAME" . }}`},
	{regexp.MustCompile(` in else$`), "else can be followed by if and with only: write {{else if CONDITION}}, or {{else}} and another action"},
	{regexp.MustCompile(` in end$`), "nothing can follow end: write {{end}}"},
	{regexp.MustCompile(` in (\{\{(?:break|continue)\}\})$`), "nothing can follow #1; write {{ if CONDITION }}#1{{ end }}"},
	{regexp.MustCompile(`^(?:expected :=|unexpected ":=")`), "a variable is declared at the beginning of an action: write {{ $x := VALUE }}"},
	{regexp.MustCompile(`^max expression depth exceeded`), fmt.Sprintf("the template is nested more than %d levels deep", maxNesting)},
	{regexp.MustCompile(`^unexpected <(\w+)>`), "{{#1}} is an action of its own: write it in braces of its own"},
	{regexp.MustCompile(`^bad character U\+[0-9A-F]+ '(.)'`), "#1 cannot be part of a name; separate values with spaces, and look up names with such characters with index, as in index .source.metadata.labels \"NAME\""},
	{regexp.MustCompile(`^(?:unrecognized character in action: U\+[0-9A-F]+ '(.)'|unexpected "(.*)" in )`), "#1#2 has no meaning here; an action is a value, or a function and its arguments, separated by spaces"},
}

// plainly says a message of the parser in words that help.
func plainly(message string) string {
	for _, m := range parserMessages {
		if found := m.pattern.FindStringSubmatch(message); found != nil {
			found = append(found, "", "")
			return strings.NewReplacer("#1", shorten(found[1]), "#2", shorten(found[2])).Replace(m.text)
		}
	}
	return "this cannot be read; an action is a value, or a function and its arguments, separated by spaces"
}
