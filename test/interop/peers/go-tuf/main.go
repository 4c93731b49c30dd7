// Reads a TUF repository the way a go-tuf user would: refresh, then download every target.
//
// Prints one JSON line with the versions it came to trust; exits 1 when anything is refused.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sort"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

const module = "github.com/theupdateframework/go-tuf/v2"

type report struct {
	Client     string   `json:"client"`
	Root       int64    `json:"root"`
	Timestamp  int64    `json:"timestamp"`
	Snapshot   int64    `json:"snapshot"`
	Targets    int64    `json:"targets"`
	Downloaded []string `json:"downloaded"`
}

func main() {
	root := flag.String("root", "", "file of the root to trust")
	metadataURL := flag.String("metadata-url", "", "where the metadata is")
	targetsURL := flag.String("targets-url", "", "where the targets are")
	out := flag.String("out", "", "folder for the targets")
	state := flag.String("state", "", "folder for trusted metadata")
	flag.Parse()

	result, err := read(*root, *metadataURL, *targetsURL, *out, *state)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	line, err := json.Marshal(result)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(string(line))
}

func read(root, metadataURL, targetsURL, out, state string) (*report, error) {
	trusted, err := os.ReadFile(root)
	if err != nil {
		return nil, err
	}
	settings, err := config.New(metadataURL, trusted)
	if err != nil {
		return nil, err
	}
	settings.LocalMetadataDir = state
	settings.LocalTargetsDir = out
	settings.RemoteTargetsURL = targetsURL
	client, err := updater.New(settings)
	if err != nil {
		return nil, err
	}
	if err := client.Refresh(); err != nil {
		return nil, err
	}

	names := make([]string, 0)
	for name := range client.GetTopLevelTargets() {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := download(client, name, out); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}

	set := client.GetTrustedMetadataSet()
	return &report{
		Client:     "go-tuf " + moduleVersion(),
		Root:       set.Root.Signed.Version,
		Timestamp:  set.Timestamp.Signed.Version,
		Snapshot:   set.Snapshot.Signed.Version,
		Targets:    set.Targets[metadata.TARGETS].Signed.Version,
		Downloaded: names,
	}, nil
}

func download(client *updater.Updater, name, out string) error {
	target, err := client.GetTargetInfo(name)
	if err != nil {
		return err
	}
	path := filepath.Join(out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	_, _, err = client.DownloadTarget(target, path, "")
	return err
}

func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			return dependency.Version
		}
	}
	return "unknown"
}
