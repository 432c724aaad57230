package app

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

func TestThePlaygroundIsServedUntilItIsStopped(t *testing.T) {
	reader, writer := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan int)
	go func() {
		ended <- Run(ctx, genericiooptions.IOStreams{In: strings.NewReader(""), Out: writer, ErrOut: io.Discard}, []string{"playground"})
	}()
	line, err := bufio.NewReader(reader).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if page, err := io.ReadAll(response.Body); err != nil || !strings.Contains(string(page), "<title>Import policy playground</title>") {
		t.Errorf("%s: %v: %.200s", response.Status, err, page)
	}
	stop()
	if code := <-ended; code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

func TestThePlaygroundNamesTheClusterThatItReads(t *testing.T) {
	kubeconfig := writeKubeconfig(t, "apiVersion: v1\nkind: Config\ncurrent-context: east\n"+
		"contexts: [{name: east, context: {cluster: c}}, {name: west, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n")
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "east"},
		{[]string{"--context=west"}, "west"},
	} {
		reader, writer := io.Pipe()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan int)
		go func() {
			ended <- Run(ctx, genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: writer},
				append([]string{"playground", "--live", "--kubeconfig=" + kubeconfig}, test.args...))
		}()
		lines := bufio.NewScanner(reader)
		if !lines.Scan() || lines.Text() != "The Sources of "+test.want+" can be opened." {
			t.Errorf("it says %q", lines.Text())
		}
		go func() { _, _ = io.Copy(io.Discard, reader) }()
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("it ended with %d", code)
		}
	}
	if got := execute(t, "", "playground", "--live", "--context=nope", "--kubeconfig="+kubeconfig); !strings.Contains(got, `context "nope" does not exist`) || !strings.Contains(got, "exit code 1") {
		t.Error(got)
	}
}
