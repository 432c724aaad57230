// The editor of the page: CodeMirror with YAML, and findings at their place.
import {defaultKeymap, history, historyKeymap, indentWithTab} from "@codemirror/commands";
import {yaml} from "@codemirror/lang-yaml";
import {bracketMatching, HighlightStyle, indentUnit, syntaxHighlighting} from "@codemirror/language";
import {lintKeymap, setDiagnostics} from "@codemirror/lint";
import {highlightSelectionMatches, searchKeymap} from "@codemirror/search";
import {EditorState} from "@codemirror/state";
import {drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, highlightSpecialChars, keymap, lineNumbers} from "@codemirror/view";
import {tags} from "@lezer/highlight";

// Colors are variables of the page, which has them for light and dark.
const theme = EditorView.theme({
  "&": {color: "var(--text)", backgroundColor: "var(--editor)", height: "100%", fontSize: "13px"},
  "&.cm-focused": {outline: "none"}, // the page shows which editor has the focus
  ".cm-scroller": {fontFamily: "var(--mono)", lineHeight: "1.45"},
  ".cm-content": {caretColor: "var(--text)"},
  ".cm-cursor": {borderLeftColor: "var(--text)"},
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {background: "var(--selection)"},
  ".cm-gutters": {color: "var(--muted)", backgroundColor: "var(--editor)", border: "none"},
  ".cm-activeLine, .cm-activeLineGutter": {backgroundColor: "var(--active)"},
  ".cm-selectionMatch": {backgroundColor: "var(--selection)"},
  ".cm-lintRange": {backgroundImage: "none", textDecorationLine: "underline", textDecorationStyle: "wavy", textDecorationThickness: "1.5px",
    textUnderlineOffset: "3px", textDecorationSkipInk: "none"},
  ".cm-lintRange-error": {backgroundImage: "none", textDecorationColor: "var(--error)"},
  ".cm-lintRange-warning": {backgroundImage: "none", textDecorationColor: "var(--warning)"},
  ".cm-tooltip, .cm-panels": {color: "var(--text)", backgroundColor: "var(--panel)", border: "1px solid var(--border)", maxWidth: "60ch"},
  ".cm-diagnostic-error": {borderLeftColor: "var(--error)"},
  ".cm-diagnostic-warning": {borderLeftColor: "var(--warning)"},
  ".cm-panel.cm-panel-lint ul [aria-selected]": {backgroundColor: "var(--selection)"},
  ".cm-textfield, .cm-button": {color: "var(--text)", backgroundColor: "var(--editor)", backgroundImage: "none", border: "1px solid var(--border)"},
});

const highlighting = HighlightStyle.define([
  {tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--key)"},
  {tag: [tags.string, tags.special(tags.string)], color: "var(--string)"},
  {tag: [tags.comment, tags.lineComment], color: "var(--muted)", fontStyle: "italic"},
  {tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--constant)"},
  {tag: [tags.meta, tags.labelName, tags.typeName], color: "var(--constant)"},
  {tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: "var(--muted)"},
]);

// offsetOf is where a line and a column, in characters from 1, are in the text.
function offsetOf(doc, line, column) {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  let offset = 0;
  for (const character of at.text) {
    if (--column < 1) break;
    offset += character.length;
  }
  return at.from + offset;
}

// rangeOf is the word that a finding is at, or its line if the column is not known.
function rangeOf(doc, {line, column}) {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  if (!column) {
    return {from: at.from + at.text.search(/\S|$/), to: at.to};
  }
  const from = Math.min(offsetOf(doc, line, column), at.to);
  const word = doc.sliceString(from, Math.min(at.to, from + 200)).match(/^(?:[^\s"'(){}|,\[\]]+|.)/u);
  return {from, to: from + (word ? word[0].length : 0)};
}

// createEditor adds an editor to an element. The nonce is that of the page's policy for styles.
export function createEditor({parent, label, describedBy, nonce, readOnly = false, onChange = () => {}}) {
  const attributes = {"aria-label": label, tabindex: "0"};
  if (describedBy) attributes["aria-describedby"] = describedBy;
  if (readOnly) attributes["aria-readonly"] = "true";
  const extensions = [
    EditorView.cspNonce.of(nonce),
    EditorView.contentAttributes.of(attributes),
    yaml(),
    syntaxHighlighting(highlighting),
    highlightSpecialChars(),
    drawSelection(),
    highlightSelectionMatches(),
    indentUnit.of("  "),
    theme,
    lineNumbers(),
  ];
  if (readOnly) {
    extensions.push(EditorState.readOnly.of(true), EditorView.editable.of(false), keymap.of([...searchKeymap, ...defaultKeymap]));
  } else {
    extensions.push(history(), bracketMatching(), highlightActiveLine(), highlightActiveLineGutter(),
      keymap.of([...lintKeymap, ...searchKeymap, ...historyKeymap, ...defaultKeymap, indentWithTab]),
      EditorView.updateListener.of((update) => update.docChanged && onChange()));
  }
  const view = new EditorView({parent, extensions});
  return {
    text: () => view.state.doc.toString(),

    // setText replaces the text. It can be undone.
    setText(text) {
      if (text === this.text()) return;
      view.dispatch({changes: {from: 0, to: view.state.doc.length, insert: text}, selection: {anchor: 0}, scrollIntoView: true});
    },

    setFindings(findings) {
      const diagnostics = findings.map((finding) => ({
        ...rangeOf(view.state.doc, finding),
        severity: finding.severity,
        message: finding.field ? `${finding.field}: ${finding.message}` : finding.message,
      }));
      diagnostics.sort((a, b) => a.from - b.from);
      view.dispatch(setDiagnostics(view.state, diagnostics));
    },

    // goTo puts the cursor there.
    goTo(line, column) {
      const anchor = Math.min(offsetOf(view.state.doc, line, column || 1), view.state.doc.length);
      view.dispatch({selection: {anchor}, effects: EditorView.scrollIntoView(anchor, {y: "center"})});
      view.focus();
    },
  };
}
